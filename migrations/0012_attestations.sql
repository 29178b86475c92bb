-- description: Keep what somebody says of backups that were made elsewhere

-- One row a backup that Annals neither made nor read: a provider's snapshot, which shows one moment, or its recovery to any
-- moment of a window. It counts for nothing that only a backup of annals_backups proves.
CREATE TABLE IF NOT EXISTS annals_attestations (
    id TEXT COLLATE "C" PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('snapshot', 'pitr')),
    -- Under which it is known there.
    reference TEXT COLLATE "C" NOT NULL UNIQUE,
    shows_from TIMESTAMPTZ NOT NULL,
    shows_to TIMESTAMPTZ NOT NULL CHECK (shows_to >= shows_from),
    bytes BIGINT,
    attested_by TEXT NOT NULL,
    attested_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    expires_at TIMESTAMPTZ
);
