-- description: Keep when each schedule for backups ran last

-- One row a schedule of the policy that a service has run. due_at is the moment that it was last run for: what came due
-- after it was missed.
CREATE TABLE IF NOT EXISTS annals_schedules (
    name TEXT COLLATE "C" PRIMARY KEY,
    due_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    state TEXT CHECK (state IN ('running', 'succeeded', 'failed')),
    error TEXT
);
