-- description: Keep consumers: positions with a name, leases, and events that were set aside

-- start is what was asked for: 'head' or a position.
CREATE TABLE IF NOT EXISTS annals_consumers (
    name TEXT COLLATE "C" PRIMARY KEY,
    filter JSONB NOT NULL,
    start TEXT NOT NULL,
    partitions INT NOT NULL,
    lease_seconds INT NOT NULL,
    max_attempts INT NOT NULL,
    is_paused BOOLEAN NOT NULL DEFAULT false,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

-- Everything up to checkpoint is done with. positions are the events after it that were handed out, in order, and
-- attempts how often each was; the first in_flight of them are out now, under token, until free_at. reaches is how far
-- the feed had been looked at for them. Without a token, free_at is when it may be handed out again.
-- The low fill factor keeps the updates on the page (HOT).
CREATE TABLE IF NOT EXISTS annals_consumer_partitions (
    consumer TEXT COLLATE "C" NOT NULL REFERENCES annals_consumers (name) ON DELETE CASCADE,
    partition INT NOT NULL,
    checkpoint BIGINT NOT NULL,
    positions BIGINT[] NOT NULL DEFAULT '{}',
    attempts INT[] NOT NULL DEFAULT '{}',
    in_flight INT NOT NULL DEFAULT 0,
    reaches BIGINT NOT NULL DEFAULT 0,
    member TEXT,
    token UUID,
    done_token UUID,
    free_at TIMESTAMPTZ,
    served_at TIMESTAMPTZ,
    PRIMARY KEY (consumer, partition)
) WITH (fillfactor = 30);

CREATE TABLE IF NOT EXISTS annals_consumer_members (
    consumer TEXT COLLATE "C" NOT NULL REFERENCES annals_consumers (name) ON DELETE CASCADE,
    member TEXT COLLATE "C" NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (consumer, member)
) WITH (fillfactor = 50);

-- A row stays until its event is acknowledged, so a replay that breaks off loses nothing.
CREATE TABLE IF NOT EXISTS annals_consumer_parked (
    consumer TEXT COLLATE "C" NOT NULL REFERENCES annals_consumers (name) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    partition INT NOT NULL,
    attempts INT NOT NULL,
    reason TEXT,
    parked_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    is_replaying BOOLEAN NOT NULL DEFAULT false,
    PRIMARY KEY (consumer, position)
);

CREATE INDEX IF NOT EXISTS idx_annals_consumer_parked_replaying
    ON annals_consumer_parked (consumer, partition, position) WHERE is_replaying;
