-- description: Keep the catalogue of backups, and what was done with them

-- One row a backup. The manifest lies beside the files too: a database that is lost does not take it along.
CREATE TABLE IF NOT EXISTS annals_backups (
    id TEXT COLLATE "C" PRIMARY KEY,
    type TEXT NOT NULL,
    destination TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'failed', 'removed')),
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ,
    bytes BIGINT,
    manifest JSONB,
    manifest_sha256 TEXT,
    error TEXT
);

-- One row for everything that was done: backups made, verified, tested, restored, removed, and drills. backup_id is no
-- foreign key, because what was proved stays known after a backup is gone, and of files from elsewhere there is no row.
CREATE TABLE IF NOT EXISTS annals_jobs (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    kind TEXT NOT NULL,
    backup_id TEXT COLLATE "C",
    state TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'stopped')),
    started_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    finished_at TIMESTAMPTZ,
    run_by TEXT NOT NULL,
    request JSONB NOT NULL DEFAULT '{}',
    progress JSONB,
    result JSONB,
    error TEXT
) WITH (fillfactor = 50);

CREATE INDEX IF NOT EXISTS idx_annals_jobs_started_at ON annals_jobs (started_at);
