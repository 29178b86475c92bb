// Generated from openapi/openapi.json by `npm run generate`: do not edit.

export interface paths {
    "/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How the service is
         * @description Always 200 while the process serves; read `status`. Unknown query parameters are ignored.
         */
        get: operations["getHealth"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/health/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether the process serves
         * @description Never asks the database.
         */
        get: operations["getLiveness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/livez": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether the process serves
         * @description Never asks the database.
         */
        get: operations["getLivez"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/health/ready": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether the service can do its work
         * @description From a check that is at most 2 s old; one query per interval, however many probes come.
         */
        get: operations["getReadiness"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether the service can do its work
         * @description From a check that is at most 2 s old; one query per interval, however many probes come.
         */
        get: operations["getReadyz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/streams/{stream_id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the events of one stream
         * @description Needs a token of scope `read`.
         */
        get: operations["readStream"];
        put?: never;
        /**
         * Append events to one stream
         * @description The batch is stored whole or not at all. The expected version may also come as `If-Match: "4"`, `If-Match: *` or `If-None-Match: *`; a conflict is then 412. Sent again with the same ids and content, it answers as the first time.
         *
         *     Needs a token of scope `append`.
         */
        post: operations["appendToStream"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the feed of all events
         * @description In the order of commit. Filters combine with AND, several `type` with OR. `next` can be polled: keep it, and nothing is missed or comes twice. With `Accept: text/event-stream` it goes on with new events (resume by `Last-Event-ID`), as lines with `follow=true`.
         *
         *     Needs a token of scope `read`.
         */
        get: operations["readFeed"];
        put?: never;
        /**
         * Append events to several streams
         * @description Atomic: all appends and checks hold, or nothing is stored and `failed` names every condition that did not. With `"atomic": false` each append answers for itself in `results`.
         *
         *     Needs a token of scope `append`.
         */
        post: operations["appendToStreams"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/streams/{stream_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Where a stream stands
         * @description Needs a token of scope `read`.
         */
        get: operations["getStream"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/streams": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the streams in byte order of their ids
         * @description Needs a token of scope `read`.
         */
        get: operations["listStreams"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/events/{event_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read one event by its id
         * @description Needs a token of scope `read`.
         */
        get: operations["getEvent"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/streams/{stream_id}/snapshot": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the snapshot of a stream
         * @description Needs a token of scope `read`.
         */
        get: operations["getSnapshot"];
        /**
         * Store the snapshot of a stream
         * @description Replaces a snapshot of the same or an older version; a newer one is never replaced. A retry is always safe.
         *
         *     Needs a token of scope `append`.
         */
        put: operations["saveSnapshot"];
        post?: never;
        /**
         * Delete the snapshot of a stream
         * @description The events stay. The answer is the same when there was no snapshot.
         *
         *     Needs a token of scope `append`.
         */
        delete: operations["deleteSnapshot"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/streams/{stream_id}/state": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the snapshot of a stream and the events after it
         * @description All of one moment: what the state of the stream is rebuilt from.
         *
         *     Needs a token of scope `read`.
         */
        get: operations["readState"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/snapshots/coverage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the streams that are far ahead of their snapshot
         * @description Those with more than `SNAPSHOT_EVERY` events since their snapshot, or since their beginning, in byte order of their ids.
         *
         *     Needs a token of scope `read`.
         */
        get: operations["listSnapshotCoverage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/consumers/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Where a consumer stands
         * @description Checkpoint, lag, members, and what is parked.
         *
         *     Needs a token of scope `read`.
         */
        get: operations["getConsumer"];
        /**
         * Make a consumer, or change it
         * @description A consumer is a position in the feed that has a name and a filter, and is kept by the server; there can be 100. `filter`, `lease_seconds` and `max_attempts` are replaced each time (absent: the default) and hold for what is handed out from then on. `start` and `partitions` are given once: later they have to be the same or absent, else 409 `consumer_differs`. A stream belongs to the partition `n % partitions`, where `n` is the first four bytes of the SHA-256 of its id.
         *
         *     Needs a token of scope `append`.
         */
        put: operations["saveConsumer"];
        post?: never;
        /**
         * Remove a consumer
         * @description With its position, leases and parked events; no event is touched.
         *
         *     Needs a token of scope `append`.
         */
        delete: operations["deleteConsumer"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/consumers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List all consumers
         * @description Needs a token of scope `read`.
         */
        get: operations["listConsumers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/consumers/{name}/parked": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List parked events
         * @description By position, with the reason.
         *
         *     Needs a token of scope `read`.
         */
        get: operations["listParked"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/consumers/{name}/parked/replay": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Hand parked events out again
         * @description The first `limit` that are not on their way already; claims answer them before what is new. Each stays listed until it is acknowledged, so a replay that breaks off loses nothing.
         *
         *     Needs a token of scope `append`.
         */
        post: operations["replayParked"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/consumers/{name}/pause": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pause a consumer
         * @description Nothing is handed out any more (409 `consumer_paused`); what members have can still be acknowledged. Live answers that have begun go on.
         *
         *     Needs a token of scope `append`.
         */
        post: operations["pauseConsumer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/consumers/{name}/resume": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Resume a consumer
         * @description Events are handed out again.
         *
         *     Needs a token of scope `append`.
         */
        post: operations["resumeConsumer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/consumers/{name}/reset": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Move a consumer to another position
         * @description It goes on after `position`, or with what comes from now on (`head`). Leases are lost; parked events after the position are taken off the list, because they come again.
         *
         *     Needs a token of scope `append`.
         */
        post: operations["resetConsumer"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/consumers/{name}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the next events of a consumer
         * @description For one reader: those after the checkpoint, as often as it is asked, until `position` is acknowledged with `POST /consumers/{name}/ack`. When nothing passes the filter the checkpoint moves by itself. With `Accept: text/event-stream` it begins at the checkpoint (or `Last-Event-ID`) and goes on with new events; acknowledge now and then.
         *
         *     Needs a token of scope `read`.
         */
        get: operations["readConsumer"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/consumers/{name}/claim": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Claim events for a member
         * @description For several members that share the work. Answers events by position under a lease; streams are spread over partitions, and while a member has events of a partition nobody else gets any, so each stream stays in order. What is not acknowledged within `lease_seconds` goes to others. A member has one lease at a time: claiming again gives the earlier one back. An event that was handed out twice without success is handed out alone from then on, and parked after `max_attempts`. Parked events hold nothing up: later events of their stream go on.
         *
         *     Needs a token of scope `read`.
         */
        post: operations["claimEvents"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/consumers/{name}/ack": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Acknowledge events
         * @description With `token`: those of the lease up to `position`, or all of it; what is left begins another lease time, so this also renews. Without: everything up to `position`, which is refused while members have leases. The checkpoint never goes back, and never beyond the head.
         *
         *     Needs a token of scope `read`.
         */
        post: operations["acknowledge"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/consumers/{name}/nack": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Say that an event failed
         * @description `retry`: the lease ends and everything that is left of it comes back; acknowledge first what is done. The event at `position` is handed out again after `delay_seconds`, and its partition waits for it; those after it count as not tried. After `max_attempts` it is parked instead. `park`: the event is set aside, the rest stays with the member. Without `position` all events of the lease have failed.
         *
         *     Needs a token of scope `read`.
         */
        post: operations["giveBack"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/migrations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Which migrations are applied
         * @description Needs a token of scope `admin`.
         */
        get: operations["getMigrations"];
        put?: never;
        /**
         * Apply what is pending
         * @description Needs `MIGRATIONS_OVER_HTTP=on`, which is the default with the embedded PostgreSQL. Answers when all is applied; large ones are better run by `annals migrate up`, which says what it is doing.
         *
         *     Needs a token of scope `admin`.
         */
        post: operations["applyMigrations"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/schedules": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What is backed up when, and how it went last
         * @description Needs a token of scope `admin`.
         */
        get: operations["getSchedules"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/pool": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How the connection pool is
         * @description Answers also while the pool is exhausted or the database is away.
         *
         *     Needs a token of scope `admin`.
         */
        get: operations["getPool"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/pool/sizing": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How large the pool should be
         * @description Needs a token of scope `admin`.
         */
        get: operations["getPoolSizing"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/integrity": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Check a piece of the store
         * @description Every request looks at the schema (constraints, indexes, triggers), the head and the consumers, and at `limit` events: positions, versions, ids. Follow `next` until it is null: after the events come the snapshots. What is appended meanwhile does no harm. The whole store at once: `annals verify`.
         *
         *     Needs a token of scope `admin`.
         */
        get: operations["checkIntegrity"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/backups": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Which backups are known
         * @description From the catalogue in the store and from what lies in `BACKUP_DIR`; while the database is away, from the files alone.
         *
         *     Needs a token of scope `admin`.
         */
        get: operations["listBackups"];
        put?: never;
        /**
         * Make a backup
         * @description Into `BACKUP_DIR`. It shows one moment of the store, and holds up neither readers nor writers.
         *
         *     Needs a token of scope `admin`.
         */
        post: operations["createBackup"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/backups/types": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Which types of backup there are
         * @description And what each is good for.
         *
         *     Needs a token of scope `admin`.
         */
        get: operations["listBackupTypes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/backups/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One backup
         * @description With its manifest, which has a hash of each file.
         *
         *     Needs a token of scope `admin`.
         */
        get: operations["getBackup"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/backups/{id}/verify": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Check a backup
         * @description At a level of certainty; level 1 when none is named.
         *
         *     Needs a token of scope `admin`.
         */
        post: operations["verifyBackup"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/backups/{id}/test": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Try a backup out
         * @description Restores it into a scratch database, compares every stream, drops the scratch, and writes down how it went.
         *
         *     Needs a token of scope `admin`.
         */
        post: operations["testBackup"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/jobs/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How far a job is
         * @description Of this service, of another one on the same store, or of a command.
         *
         *     Needs a token of scope `admin`.
         */
        get: operations["getJob"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Metrics for Prometheus
         * @description Prometheus text, or OpenMetrics by `Accept`. A scrape never waits for the database.
         *
         *     Needs a token of scope `metrics` or `read`.
         */
        get: operations["getMetrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This description */
        get: operations["getOpenApi"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/import": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Append exported events, one a line
         * @description Lines as `GET /events` exports them: `stream_id` and the members of an event; `version`, when given, is demanded; `position` and `created_at` are given anew. A line that can not be read refuses the whole request; after that each event is stored or not by itself, in order.
         *
         *     Needs a token of scope `append`.
         */
        post: operations["importEvents"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description Every answer that is not a success; some codes have further members. */
        Problem: {
            /**
             * Format: uri
             * @description `urn:annals:problem:<code>`
             */
            type: string;
            title: string;
            status: number;
            /** @enum {string} */
            code: "malformed_request" | "validation_failed" | "stream_id_invalid" | "unauthenticated" | "forbidden" | "migrations_disabled" | "route_not_found" | "stream_not_found" | "event_not_found" | "snapshot_not_found" | "consumer_not_found" | "backup_not_found" | "job_not_found" | "method_not_allowed" | "not_acceptable" | "request_timeout" | "version_conflict" | "migrations_locked" | "migration_drift" | "job_running" | "backup_refused" | "backup_damaged" | "snapshot_older" | "snapshot_ahead" | "cursor_ahead" | "epoch_changed" | "consumer_differs" | "consumer_paused" | "consumer_claimed" | "lease_lost" | "too_many_consumers" | "payload_too_large" | "uri_too_long" | "unsupported_media_type" | "expectation_failed" | "unstorable_value" | "event_id_reused" | "rate_limited" | "headers_too_large" | "internal" | "overloaded" | "pool_exhausted" | "busy" | "timeout" | "database_unavailable" | "database_read_only" | "database_full" | "database_misconfigured" | "shutting_down" | "not_yet_visible" | "commit_outcome_unknown" | "not_ready" | "http_version_not_supported";
            /** @description What is wrong with this request. */
            detail: string;
            /** @description As in the header `X-Request-Id` and in the log. */
            request_id: string;
            /** @description Whether the same request can succeed later. */
            retryable: boolean;
            /**
             * @description What became of the write; `unknown` is settled by a retry with the same event ids.
             * @enum {string}
             */
            outcome: "not_applied" | "applied" | "unknown";
            errors?: {
                /** @description A JSON pointer into the body, or `query/<name>`, `path/<name>`, `header/<name>`. */
                pointer: string;
                /** @description What does not hold, such as `out_of_range` or `required`. */
                rule: string;
                /** @description The allowed values, with the rule `not_a_choice`. */
                choices?: unknown[];
            }[];
        } & {
            [key: string]: unknown;
        };
        /**
         * @description The version the stream has to be at; 0 = it has no event yet.
         * @default any
         */
        ExpectedVersion: number | ("any" | "exists");
        NewEvent: {
            /**
             * Format: uuid
             * @description Lower-case UUID; makes retries safe. A version 7 one when absent.
             */
            id?: string;
            /**
             * @description 1 to 255 bytes of UTF-8.
             * @example OrderPlaced
             */
            type: string;
            /** @description Any JSON value; comes back as it was sent. Not together with data_base64. */
            data?: unknown;
            /** Format: byte */
            data_base64?: string;
            content_type?: string;
            /** @description At most 64 KiB. */
            metadata?: Record<string, unknown> | null;
        };
        Event: {
            /** @description Place in the feed of all events; contiguous from 1. */
            position: number;
            /**
             * @description 1 to 255 bytes of UTF-8.
             * @example order-123
             */
            stream_id: string;
            /** @description Place in the stream; contiguous from 1. */
            version: number;
            /** Format: uuid */
            id: string;
            type: string;
            /** @description When it was given as JSON. */
            data?: unknown;
            /**
             * Format: byte
             * @description When it was not.
             */
            data_base64?: string;
            content_type: string;
            metadata: Record<string, unknown> | null;
            /**
             * Format: date-time
             * @description UTC, microseconds.
             * @example 2026-01-31T12:00:00.123456Z
             */
            created_at: string;
        };
        /**
         * @example {
         *       "stream_id": "order-123",
         *       "first_version": 1,
         *       "version": 1,
         *       "first_position": 1,
         *       "position": 1,
         *       "event_ids": [
         *         "0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f"
         *       ],
         *       "created_at": "2026-01-31T12:00:00.123456Z",
         *       "replayed": false
         *     }
         */
        Appended: {
            /**
             * @description 1 to 255 bytes of UTF-8.
             * @example order-123
             */
            stream_id: string;
            /** @description Place in the stream; contiguous from 1. */
            first_version: number;
            /** @description Place in the stream; contiguous from 1. */
            version: number;
            /** @description Place in the feed of all events; contiguous from 1. */
            first_position: number;
            /** @description Place in the feed of all events; contiguous from 1. */
            position: number;
            event_ids: string[];
            /**
             * Format: date-time
             * @description UTC, microseconds.
             * @example 2026-01-31T12:00:00.123456Z
             */
            created_at: string;
            /** @description The answer of an earlier, equal request. */
            replayed: boolean;
        };
        StreamInfo: {
            /**
             * @description 1 to 255 bytes of UTF-8.
             * @example order-123
             */
            stream_id: string;
            /** @description Place in the stream; contiguous from 1. */
            version: number;
            /**
             * Format: date-time
             * @description UTC, microseconds.
             * @example 2026-01-31T12:00:00.123456Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description UTC, microseconds.
             * @example 2026-01-31T12:00:00.123456Z
             */
            updated_at: string;
        };
        SnapshotSummary: {
            /** @description Place in the stream; contiguous from 1. */
            version: number;
            /**
             * Format: date-time
             * @description UTC, microseconds.
             * @example 2026-01-31T12:00:00.123456Z
             */
            created_at: string;
        };
        StreamStanding: {
            /**
             * @description 1 to 255 bytes of UTF-8.
             * @example order-123
             */
            stream_id: string;
            /** @description Place in the stream; contiguous from 1. */
            version: number;
            /**
             * Format: date-time
             * @description UTC, microseconds.
             * @example 2026-01-31T12:00:00.123456Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @description UTC, microseconds.
             * @example 2026-01-31T12:00:00.123456Z
             */
            updated_at: string;
            /** @description The stored snapshot, without its state. */
            snapshot: components["schemas"]["SnapshotSummary"] | null;
            /** @description Events after the snapshot, or all of them; above `SNAPSHOT_EVERY` a new snapshot pays. */
            events_since_snapshot: number;
        };
        /**
         * @example {
         *       "expected_version": 0,
         *       "events": [
         *         {
         *           "type": "OrderPlaced",
         *           "data": {
         *             "total": 10
         *           }
         *         }
         *       ]
         *     }
         */
        Append: {
            expected_version?: components["schemas"]["ExpectedVersion"];
            events: components["schemas"]["NewEvent"][];
        };
        /**
         * @example {
         *       "appends": [
         *         {
         *           "stream_id": "order-123",
         *           "expected_version": "any",
         *           "events": [
         *             {
         *               "type": "OrderPaid"
         *             }
         *           ]
         *         }
         *       ],
         *       "checks": [
         *         {
         *           "stream_id": "customer-7",
         *           "expected_version": "exists"
         *         }
         *       ]
         *     }
         */
        MultiAppend: {
            appends: {
                /**
                 * @description 1 to 255 bytes of UTF-8.
                 * @example order-123
                 */
                stream_id: string;
                expected_version?: components["schemas"]["ExpectedVersion"];
                events: components["schemas"]["NewEvent"][];
            }[];
            checks?: {
                /**
                 * @description 1 to 255 bytes of UTF-8.
                 * @example order-123
                 */
                stream_id: string;
                expected_version: components["schemas"]["ExpectedVersion"];
            }[];
            /** @default true */
            atomic?: boolean;
        };
        MultiAppended: {
            /** @description Place in the feed of all events; contiguous from 1. */
            position: number;
            /** @example false */
            replayed: boolean;
            results: components["schemas"]["Appended"][];
        };
        AppendResults: {
            results: {
                status: number;
                /** @description Appended, or a problem. */
                body: Record<string, unknown>;
            }[];
        };
        StreamPage: {
            /**
             * @description 1 to 255 bytes of UTF-8.
             * @example order-123
             */
            stream_id: string;
            /** @description Version of the last event of the stream. */
            version: number;
            events: components["schemas"]["Event"][];
            /** @description Null when the page reached the end. */
            next: string | null;
        };
        FeedPage: {
            events: components["schemas"]["Event"][];
            /** @description Last position of the store. */
            head: number;
            /** @description Always there forwards, to be polled; null backwards after position 1. */
            next: string | null;
        };
        StreamList: {
            streams: components["schemas"]["StreamInfo"][];
            /** @description Null on the last page. */
            next: string | null;
        };
        /**
         * @example {
         *       "version": 100,
         *       "state": {
         *         "total": 1250,
         *         "status": "paid"
         *       }
         *     }
         */
        NewSnapshot: {
            /** @description Version of the stream that the state is of. */
            version: number;
            /** @description Any JSON value; comes back as it was sent. Either this or state_base64. */
            state?: unknown;
            /** Format: byte */
            state_base64?: string;
            content_type?: string;
        };
        SnapshotInfo: {
            /**
             * @description 1 to 255 bytes of UTF-8.
             * @example order-123
             */
            stream_id: string;
            /** @description Version of the stream that the state is of. */
            version: number;
            content_type: string;
            /**
             * Format: date-time
             * @description When it was stored; UTC, microseconds.
             */
            created_at: string;
        };
        Snapshot: {
            /**
             * @description 1 to 255 bytes of UTF-8.
             * @example order-123
             */
            stream_id: string;
            /** @description Version of the stream that the state is of. */
            version: number;
            /** @description When it was given as JSON. */
            state?: unknown;
            /**
             * Format: byte
             * @description When it was not.
             */
            state_base64?: string;
            content_type: string;
            /**
             * Format: date-time
             * @description When it was stored; UTC, microseconds.
             */
            created_at: string;
        };
        StreamState: {
            /**
             * @description 1 to 255 bytes of UTF-8.
             * @example order-123
             */
            stream_id: string;
            /** @description Version of the last event of the stream. */
            version: number;
            snapshot: components["schemas"]["Snapshot"] | null;
            /** @description Those after the snapshot, or from the first one on. */
            events: components["schemas"]["Event"][];
            /** @description The rest as pages of events; null when the page reached the end. */
            next: string | null;
        };
        SnapshotCoverage: {
            /** @description The setting `SNAPSHOT_EVERY`. */
            snapshot_every: number;
            streams: {
                /**
                 * @description 1 to 255 bytes of UTF-8.
                 * @example order-123
                 */
                stream_id: string;
                /** @description Version of the last event of the stream. */
                version: number;
                snapshot: components["schemas"]["SnapshotSummary"] | null;
                events_since_snapshot: number;
            }[];
            /** @description How many streams this page looked at; over all pages it adds up to the number of streams. */
            checked: number;
            /** @description Null after the last stream. A page can be short, or empty, and not be the last one. */
            next: string | null;
        };
        /** @description As of `GET /events`; all of it has to hold. */
        ConsumerFilter: {
            types?: string[];
            stream_prefix?: string;
            /**
             * Format: date-time
             * @description Inclusive, on `created_at`.
             */
            since?: string;
            /**
             * Format: date-time
             * @description Exclusive, on `created_at`.
             */
            until?: string;
            /** @description Top-level members of the metadata that are text. */
            metadata?: {
                [key: string]: string;
            };
        };
        /**
         * @example {
         *       "filter": {
         *         "types": [
         *           "OrderPlaced"
         *         ],
         *         "stream_prefix": "order-"
         *       },
         *       "start": 0,
         *       "partitions": 8
         *     }
         */
        NewConsumer: {
            filter?: components["schemas"]["ConsumerFilter"];
            /** @description The position after which it begins, 0 for the first event; `head`: only what comes from now on. */
            start?: number | "head";
            /**
             * @description How many members can work at once; the streams are spread over them.
             * @default 8
             */
            partitions?: number;
            /**
             * @description How long a member may work on what it claimed before others get it.
             * @default 30
             */
            lease_seconds?: number;
            /**
             * @description An event that was handed out this often without success is parked.
             * @default 5
             */
            max_attempts?: number;
        };
        Consumer: {
            name: string;
            filter: components["schemas"]["ConsumerFilter"];
            /** @description The position after which it begins, 0 for the first event; `head`: only what comes from now on. */
            start: number | "head";
            /**
             * @description How many members can work at once; the streams are spread over them.
             * @default 8
             */
            partitions: number;
            /**
             * @description How long a member may work on what it claimed before others get it.
             * @default 30
             */
            lease_seconds: number;
            /**
             * @description An event that was handed out this often without success is parked.
             * @default 5
             */
            max_attempts: number;
            paused: boolean;
            /** @description Everything up to here is acknowledged, parked, or does not pass the filter. */
            checkpoint: number;
            /** @description Last position of the store. */
            head: number;
            /** @description Positions between the checkpoint and the head. */
            lag_events: number;
            /** @description Age of the first event after the checkpoint; 0 without one. */
            lag_seconds: number;
            /** @description Events that members work on. */
            in_flight: number;
            /** @description Events that were set aside. */
            parked: number;
            /** @description Of those, how many wait to be handed out again. */
            replaying: number;
            /** @description Who claimed lately. */
            members: {
                /**
                 * @description Who works: 1 to 100 of `A-Za-z0-9._-`. It has one lease at a time.
                 * @example worker-1
                 */
                member: string;
                /**
                 * Format: date-time
                 * @description When it last claimed.
                 */
                seen_at: string;
                /** @description Those that it works on. */
                partitions: number[];
                /** @description Events that it works on. */
                in_flight: number;
                /** @description When its lease ends; null without one. */
                lease_until: string | null;
            }[];
            /**
             * Format: date-time
             * @description UTC, microseconds.
             */
            created_at: string;
        };
        ConsumerList: {
            consumers: components["schemas"]["Consumer"][];
        };
        ConsumerPage: {
            /** @description Where the page begins; exclusive. */
            checkpoint: number;
            events: components["schemas"]["Event"][];
            /** @description Acknowledge this when all events of the page are done. */
            position: number;
            /** @description Last position of the store. */
            head: number;
        };
        Lease: {
            /** @description For `ack` and `nack`; null when there is no event. */
            token: string | null;
            /** @description When others get what is not acknowledged; null when there is no event. */
            lease_until: string | null;
            /** @description By position, so each stream is in order. */
            events: components["schemas"]["Event"][];
            /** @description For each event, in the same order, how often it was handed out; 1 for the first time. */
            attempts: number[];
            /** @description Of the consumer. */
            checkpoint: number;
            /** @description Last position of the store. */
            head: number;
        };
        Progress: {
            /** @description Of the consumer, now. */
            checkpoint: number;
            /** @description With `token`: events that this call is done with, parked ones among them. Else: positions that the checkpoint moved. */
            acknowledged: number;
            /** @description Events of the lease that are still to be done. */
            in_flight: number;
            /** @description When the lease ends; null when nothing is left of it. */
            lease_until: string | null;
            /** @description Events that this call set aside. */
            parked: number;
        };
        ParkedPage: {
            parked: {
                position: number;
                /** @description How often it was handed out. */
                attempts: number;
                /** @description What the member said, or why it was set aside by itself. */
                reason: string | null;
                /**
                 * Format: date-time
                 * @description UTC, microseconds.
                 */
                parked_at: string;
                /** @description It waits to be handed out again. */
                replaying: boolean;
                event: components["schemas"]["Event"];
            }[];
            /** @description Null on the last page. */
            next: string | null;
        };
        Replayed: {
            /** @description How many were marked by this call. */
            replaying: number;
        };
        /**
         * @example {
         *       "backups": [
         *         {
         *           "id": "backup_20260115_020000",
         *           "type": "archive",
         *           "state": "complete",
         *           "destination": "/var/backups/annals",
         *           "started_at": "2026-01-15T02:00:00.000Z",
         *           "finished_at": "2026-01-15T02:00:04.120Z",
         *           "bytes": 58476023,
         *           "base": null,
         *           "events": 1000000,
         *           "head": 1000000,
         *           "verified": {
         *             "level": 3,
         *             "at": "2026-01-15T02:01:00.000000Z"
         *           },
         *           "tested_at": "2026-01-12T03:00:00.000000Z",
         *           "error": null
         *         }
         *       ],
         *       "attested": [
         *         {
         *           "id": "attested_3f9a2c71d0e4",
         *           "kind": "pitr",
         *           "reference": "rds:orders-db",
         *           "shows_from": "2026-01-08T02:14:00.000000Z",
         *           "shows_to": "2026-01-15T09:25:00.000000Z",
         *           "bytes": null,
         *           "attested_by": "annals@ops-1",
         *           "attested_at": "2026-01-15T09:30:00.000000Z",
         *           "expires_at": null
         *         }
         *       ],
         *       "faults": []
         *     }
         */
        BackupList: {
            /** @description The newest first. */
            backups: {
                id: string;
                /** @description As `GET /backups/types` lists them. */
                type: string;
                /**
                 * @description `missing`: written down as complete, and its files are not there.
                 * @enum {string}
                 */
                state: "running" | "complete" | "failed" | "removed" | "missing";
                /** @description Where it is. */
                destination: string;
                /** @description RFC 3339. */
                started_at: string;
                /** @description RFC 3339. */
                finished_at: string | null;
                /** @description Of all files. */
                bytes: number | null;
                /** @description The backup that it adds to. */
                base: string | null;
                /** @description In it and in those that it adds to. */
                events: number | null;
                /** @description The last position that it knows. */
                head: number | null;
                /** @description The highest level that it passed. */
                verified: {
                    /** @description 0 to 3. */
                    level: number;
                    /** @description RFC 3339. */
                    at: string;
                } | null;
                /** @description When it was last restored for a test and compared. */
                tested_at: string | null;
                /** @description Why it failed. */
                error: string | null;
            }[];
            /** @description Backups that were made elsewhere, as `annals backup attest` was told; Annals has never read them, and can not restore them. */
            attested: {
                id: string;
                /**
                 * @description `snapshot` shows one moment; `pitr` leads to any moment of a window.
                 * @enum {string}
                 */
                kind: "snapshot" | "pitr";
                /** @description Under which it is known where it was made. */
                reference: string;
                /** @description RFC 3339. */
                shows_from: string;
                /** @description RFC 3339; of a snapshot the same. */
                shows_to: string;
                /** @description As it was said. */
                bytes: number | null;
                /** @description Who says so. */
                attested_by: string;
                /** @description RFC 3339. */
                attested_at: string;
                /** @description RFC 3339; when it is removed there. */
                expires_at: string | null;
            }[];
            /** @description What was found and can not be read. */
            faults: string[];
        };
        /**
         * @example {
         *       "id": "backup_20260115_020000",
         *       "type": "archive",
         *       "state": "complete",
         *       "destination": "/var/backups/annals",
         *       "started_at": "2026-01-15T02:00:00.000Z",
         *       "finished_at": "2026-01-15T02:00:04.120Z",
         *       "bytes": 58476023,
         *       "base": null,
         *       "events": 1000000,
         *       "head": 1000000,
         *       "verified": {
         *         "level": 3,
         *         "at": "2026-01-15T02:01:00.000000Z"
         *       },
         *       "tested_at": "2026-01-12T03:00:00.000000Z",
         *       "error": null,
         *       "manifest": {
         *         "format": 1,
         *         "id": "backup_20260115_020000",
         *         "type": "archive"
         *       }
         *     }
         */
        Backup: {
            id: string;
            /** @description As `GET /backups/types` lists them. */
            type: string;
            /**
             * @description `missing`: written down as complete, and its files are not there.
             * @enum {string}
             */
            state: "running" | "complete" | "failed" | "removed" | "missing";
            /** @description Where it is. */
            destination: string;
            /** @description RFC 3339. */
            started_at: string;
            /** @description RFC 3339. */
            finished_at: string | null;
            /** @description Of all files. */
            bytes: number | null;
            /** @description The backup that it adds to. */
            base: string | null;
            /** @description In it and in those that it adds to. */
            events: number | null;
            /** @description The last position that it knows. */
            head: number | null;
            /** @description The highest level that it passed. */
            verified: {
                /** @description 0 to 3. */
                level: number;
                /** @description RFC 3339. */
                at: string;
            } | null;
            /** @description When it was last restored for a test and compared. */
            tested_at: string | null;
            /** @description Why it failed. */
            error: string | null;
            /** @description As beside the files. */
            manifest: {
                [key: string]: unknown;
            };
        };
        /**
         * @example {
         *       "types": [
         *         {
         *           "type": "archive",
         *           "summary": "events, snapshots and consumers as compressed files of rows",
         *           "advantages": [
         *             "can be checked to the last row without a server"
         *           ],
         *           "disadvantages": [
         *             "indexes are built again on restore"
         *           ],
         *           "needs": []
         *         }
         *       ]
         *     }
         */
        BackupTypes: {
            types: {
                type: string;
                summary: string;
                /** @description What it is good for. */
                advantages: string[];
                /** @description What it is not. */
                disadvantages: string[];
                /** @description What has to be installed. */
                needs: string[];
            }[];
        };
        /**
         * @example {
         *       "id": "0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f",
         *       "kind": "create",
         *       "backup_id": null,
         *       "state": "running",
         *       "started_at": "2026-01-15T02:00:00.000000Z",
         *       "updated_at": "2026-01-15T02:00:03.000000Z",
         *       "finished_at": null,
         *       "progress": {
         *         "step": "copying events",
         *         "unit": "events",
         *         "done": 400000,
         *         "total": 1000000
         *       },
         *       "result": null,
         *       "error": null
         *     }
         */
        Job: {
            id: string;
            /** @description `create`, `verify`, `test`, … */
            kind: string;
            /** @description Null until a backup has its id. */
            backup_id: string | null;
            /**
             * @description `stopped`: the service was, or somebody stopped it.
             * @enum {string}
             */
            state: "running" | "succeeded" | "failed" | "stopped";
            /** @description RFC 3339. */
            started_at: string;
            /** @description RFC 3339. */
            updated_at: string;
            /** @description RFC 3339. */
            finished_at: string | null;
            progress: {
                /** @description What is being done. */
                step: string;
                /**
                 * @description What is counted; `rows` are those of other tables.
                 * @enum {string}
                 */
                unit: "events" | "rows" | "bytes";
                /** @description So far. */
                done: number;
                /** @description In all, when that is known. */
                total: number | null;
            } | null;
            /** @description What came of it; its members depend on the kind. */
            result: Record<string, unknown> | null;
            /** @description Why it did not succeed. */
            error: string | null;
        };
        /**
         * @example {
         *       "id": "0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f"
         *     }
         */
        JobStarted: {
            /** @description Of the job: see `GET /jobs/{id}`. */
            id: string;
        };
        Imported: {
            /** @description Events stored by this request. */
            stored: number;
            /** @description Events passed over: the same id with the same content. */
            already_stored: number;
            /** @description Events that could not be stored. */
            failed: number;
            /** @description The first of those that failed; lines count from 1. */
            failures: {
                line: number;
                code: string;
                detail: string;
            }[];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    getHealth: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok",
                     *       "database": "healthy",
                     *       "event_count": 10992,
                     *       "version": "0.1.0",
                     *       "uptime_seconds": 12.4
                     *     }
                     */
                    "application/json": {
                        /** @description `degraded`: it serves, but not all is well; `error`: the database is away. */
                        status: "ok" | "degraded" | "error";
                        database: "healthy" | "unhealthy";
                        /** @description Exact number of events. */
                        event_count: number | null;
                        /** @description Of Annals. */
                        version: string;
                        uptime_seconds: number;
                        /** @description For scope `admin`, or without tokens. */
                        checks?: {
                            [key: string]: unknown;
                        };
                    };
                };
            };
        };
    };
    getLiveness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok"
                     *     }
                     */
                    "application/json": {
                        /** @constant */
                        status: "ok";
                    };
                };
            };
        };
    };
    getLivez: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok"
                     *     }
                     */
                    "application/json": {
                        /** @constant */
                        status: "ok";
                    };
                };
            };
        };
    };
    getReadiness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ready"
                     *     }
                     */
                    "application/json": {
                        /** @constant */
                        status: "ready";
                    };
                };
            };
        };
    };
    getReadyz: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ready"
                     *     }
                     */
                    "application/json": {
                        /** @constant */
                        status: "ready";
                    };
                };
            };
        };
    };
    readStream: {
        parameters: {
            query?: {
                /** @description First version of the page; inclusive in both directions. */
                from_version?: number;
                /** @description Most events of one page; 100 when absent. As lines (`application/x-ndjson`) there is no limit then. */
                limit?: number;
                /** @description `forward` when absent. */
                direction?: "forward" | "backward";
                /** @description Only events of this type; repeatable. */
                type?: string[];
                /** @description Long poll: when there is nothing, wait up to this many seconds. Forwards, as JSON. */
                wait?: number;
                /** @description As lines: go on with new events for ever. */
                follow?: boolean;
                /** @description What `Annals-Epoch` said when the cursor was current, also as a header of that name: 409 `epoch_changed` when positions may mean other events by now. */
                epoch?: string;
                /** @description Wait until this position is visible here, else 503 `not_yet_visible`. */
                at_least?: number;
                /** @description Longest wait for `at_least` in seconds; 5 when absent. */
                at_least_wait?: number;
            };
            header?: never;
            path: {
                /**
                 * @description 1 to 255 bytes of UTF-8, percent-encoded.
                 * @example order-123
                 */
                stream_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StreamPage"];
                    /** @example {"position":1,"stream_id":"order-123","version":1,"id":"0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f","type":"OrderPlaced","data":{"total":10},"content_type":"application/json","metadata":null,"created_at":"2026-01-31T12:00:00.000000Z"} */
                    "application/x-ndjson": string;
                    /**
                     * @example id: 1
                     *     event: event
                     *     data: {"position":1,"stream_id":"order-123","version":1,"id":"0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f","type":"OrderPlaced","data":{"total":10},"content_type":"application/json","metadata":null,"created_at":"2026-01-31T12:00:00.000000Z"}
                     */
                    "text/event-stream": string;
                };
            };
            /** @description The stream is still at the version of If-None-Match. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    appendToStream: {
        parameters: {
            query?: {
                /** @description On a conflict, also answer with the events after the caller's version: the first 100, or as many of them as 16 MiB hold. */
                resync?: boolean;
            };
            header?: never;
            path: {
                /**
                 * @description 1 to 255 bytes of UTF-8, percent-encoded.
                 * @example order-123
                 */
                stream_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Append"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Appended"];
                };
            };
        };
    };
    readFeed: {
        parameters: {
            query?: {
                /** @description Forwards: events after this position. */
                after?: number;
                /** @description Backwards: events before this position; from the head when absent. */
                before?: number;
                /** @description Most events of one page; 100 when absent. As lines (`application/x-ndjson`) there is no limit then. */
                limit?: number;
                /** @description `forward` when absent. */
                direction?: "forward" | "backward";
                /** @description Only events of this type; repeatable. */
                type?: string[];
                /** @description Only streams whose id starts with this. */
                stream_prefix?: string;
                /** @description RFC 3339; inclusive, on `created_at`. */
                since?: string;
                /** @description RFC 3339; exclusive, on `created_at`. */
                until?: string;
                /** @description Long poll: when there is nothing, wait up to this many seconds. Forwards, as JSON. */
                wait?: number;
                /** @description As lines: go on with new events for ever. */
                follow?: boolean;
                /** @description What `Annals-Epoch` said when the cursor was current, also as a header of that name: 409 `epoch_changed` when positions may mean other events by now. */
                epoch?: string;
                /** @description Wait until this position is visible here, else 503 `not_yet_visible`. */
                at_least?: number;
                /** @description Longest wait for `at_least` in seconds; 5 when absent. */
                at_least_wait?: number;
                /** @description `metadata.<key>=<text>`: only events whose metadata has this text under the key; repeatable by key. */
                "metadata.{key}"?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FeedPage"];
                    /** @example {"position":1,"stream_id":"order-123","version":1,"id":"0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f","type":"OrderPlaced","data":{"total":10},"content_type":"application/json","metadata":null,"created_at":"2026-01-31T12:00:00.000000Z"} */
                    "application/x-ndjson": string;
                    /**
                     * @example id: 1
                     *     event: event
                     *     data: {"position":1,"stream_id":"order-123","version":1,"id":"0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f","type":"OrderPlaced","data":{"total":10},"content_type":"application/json","metadata":null,"created_at":"2026-01-31T12:00:00.000000Z"}
                     */
                    "text/event-stream": string;
                };
            };
        };
    };
    appendToStreams: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["MultiAppend"];
            };
        };
        responses: {
            /** @description With `"atomic": false`. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AppendResults"];
                };
            };
            /** @description Created */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["MultiAppended"];
                };
            };
        };
    };
    getStream: {
        parameters: {
            query?: {
                /** @description What `Annals-Epoch` said when the cursor was current, also as a header of that name: 409 `epoch_changed` when positions may mean other events by now. */
                epoch?: string;
                /** @description Wait until this position is visible here, else 503 `not_yet_visible`. */
                at_least?: number;
                /** @description Longest wait for `at_least` in seconds; 5 when absent. */
                at_least_wait?: number;
            };
            header?: never;
            path: {
                /**
                 * @description 1 to 255 bytes of UTF-8, percent-encoded.
                 * @example order-123
                 */
                stream_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StreamStanding"];
                };
            };
        };
    };
    listStreams: {
        parameters: {
            query?: {
                /** @description Only streams whose id starts with this. */
                prefix?: string;
                /** @description Stream id; exclusive. */
                after?: string;
                /** @description Most events of one page; 100 when absent. As lines (`application/x-ndjson`) there is no limit then. */
                limit?: number;
                /** @description What `Annals-Epoch` said when the cursor was current, also as a header of that name: 409 `epoch_changed` when positions may mean other events by now. */
                epoch?: string;
                /** @description Wait until this position is visible here, else 503 `not_yet_visible`. */
                at_least?: number;
                /** @description Longest wait for `at_least` in seconds; 5 when absent. */
                at_least_wait?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StreamList"];
                };
            };
        };
    };
    getEvent: {
        parameters: {
            query?: {
                /** @description What `Annals-Epoch` said when the cursor was current, also as a header of that name: 409 `epoch_changed` when positions may mean other events by now. */
                epoch?: string;
                /** @description Wait until this position is visible here, else 503 `not_yet_visible`. */
                at_least?: number;
                /** @description Longest wait for `at_least` in seconds; 5 when absent. */
                at_least_wait?: number;
            };
            header?: never;
            path: {
                event_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Event"];
                };
            };
        };
    };
    getSnapshot: {
        parameters: {
            query?: {
                /** @description What `Annals-Epoch` said when the cursor was current, also as a header of that name: 409 `epoch_changed` when positions may mean other events by now. */
                epoch?: string;
                /** @description Wait until this position is visible here, else 503 `not_yet_visible`. */
                at_least?: number;
                /** @description Longest wait for `at_least` in seconds; 5 when absent. */
                at_least_wait?: number;
            };
            header?: never;
            path: {
                /**
                 * @description 1 to 255 bytes of UTF-8, percent-encoded.
                 * @example order-123
                 */
                stream_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Snapshot"];
                };
            };
        };
    };
    saveSnapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 255 bytes of UTF-8, percent-encoded.
                 * @example order-123
                 */
                stream_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewSnapshot"];
            };
        };
        responses: {
            /** @description Replaced. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SnapshotInfo"];
                };
            };
            /** @description New. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SnapshotInfo"];
                };
            };
        };
    };
    deleteSnapshot: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 255 bytes of UTF-8, percent-encoded.
                 * @example order-123
                 */
                stream_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The stream has no snapshot now. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    readState: {
        parameters: {
            query?: {
                /** @description Most events of the page; 1,000 when absent. */
                limit?: number;
                /** @description What `Annals-Epoch` said when the cursor was current, also as a header of that name: 409 `epoch_changed` when positions may mean other events by now. */
                epoch?: string;
                /** @description Wait until this position is visible here, else 503 `not_yet_visible`. */
                at_least?: number;
                /** @description Longest wait for `at_least` in seconds; 5 when absent. */
                at_least_wait?: number;
            };
            header?: never;
            path: {
                /**
                 * @description 1 to 255 bytes of UTF-8, percent-encoded.
                 * @example order-123
                 */
                stream_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["StreamState"];
                };
            };
        };
    };
    listSnapshotCoverage: {
        parameters: {
            query?: {
                /** @description Most streams of the page; 100 when absent. */
                limit?: number;
                /** @description Stream id; exclusive. */
                after?: string;
                /** @description What `Annals-Epoch` said when the cursor was current, also as a header of that name: 409 `epoch_changed` when positions may mean other events by now. */
                epoch?: string;
                /** @description Wait until this position is visible here, else 503 `not_yet_visible`. */
                at_least?: number;
                /** @description Longest wait for `at_least` in seconds; 5 when absent. */
                at_least_wait?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SnapshotCoverage"];
                };
            };
        };
    };
    getConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Consumer"];
                };
            };
        };
    };
    saveConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewConsumer"];
            };
        };
        responses: {
            /** @description Changed, or the same as before. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Consumer"];
                };
            };
            /** @description New. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Consumer"];
                };
            };
        };
    };
    deleteConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Removed. */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    listConsumers: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConsumerList"];
                };
            };
        };
    };
    listParked: {
        parameters: {
            query?: {
                /** @description Position; exclusive. */
                after?: number;
                /** @description Most events of the page; 100 when absent. */
                limit?: number;
            };
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ParkedPage"];
                };
            };
        };
    };
    replayParked: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "limit": 100
                 *     }
                 */
                "application/json": {
                    /** @default 100 */
                    limit?: number;
                };
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Replayed"];
                };
            };
        };
    };
    pauseConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": Record<string, unknown>;
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Consumer"];
                };
            };
        };
    };
    resumeConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": Record<string, unknown>;
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Consumer"];
                };
            };
        };
    };
    resetConsumer: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "position": 0
                 *     }
                 */
                "application/json": {
                    /** @description The position after which it begins, 0 for the first event; `head`: only what comes from now on. */
                    position: number | "head";
                };
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Consumer"];
                };
            };
        };
    };
    readConsumer: {
        parameters: {
            query?: {
                /** @description What `Annals-Epoch` said when the cursor was current, also as a header of that name: 409 `epoch_changed` when positions may mean other events by now. */
                epoch?: string;
                /** @description Wait until this position is visible here, else 503 `not_yet_visible`. */
                at_least?: number;
                /** @description Longest wait for `at_least` in seconds; 5 when absent. */
                at_least_wait?: number;
                /** @description Most events of the page; 100 when absent. */
                limit?: number;
                /** @description Long poll: when there is nothing, wait up to this many seconds. */
                wait?: number;
            };
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConsumerPage"];
                    /**
                     * @example id: 1
                     *     event: event
                     *     data: {"position":1,"stream_id":"order-123","version":1,"id":"0190c6f2-7c1e-7cc3-98c4-dc0c0c07398f","type":"OrderPlaced","data":{"total":10},"content_type":"application/json","metadata":null,"created_at":"2026-01-31T12:00:00.000000Z"}
                     */
                    "text/event-stream": string;
                };
            };
        };
    };
    claimEvents: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "member": "worker-1",
                 *       "limit": 100,
                 *       "wait": 30
                 *     }
                 */
                "application/json": {
                    /**
                     * @description Who works: 1 to 100 of `A-Za-z0-9._-`. It has one lease at a time.
                     * @example worker-1
                     */
                    member: string;
                    /** @default 100 */
                    limit?: number;
                    /**
                     * @description Longest wait in seconds when there is nothing.
                     * @default 0
                     */
                    wait?: number;
                };
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Lease"];
                };
            };
        };
    };
    acknowledge: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": {
                    /** @description The lease, as the claim answered it. */
                    token?: string;
                    /** @description Everything up to here, inclusive. With `token`: those of the lease; all of it when absent. */
                    position?: number;
                };
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Progress"];
                };
            };
        };
    };
    giveBack: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description 1 to 100 of `A-Za-z0-9._-`.
                 * @example mailer
                 */
                name: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "token": "0190c6f2-7c1e-4cc3-98c4-dc0c0c07398f",
                 *       "action": "park",
                 *       "position": 7,
                 *       "reason": "no such customer"
                 *     }
                 */
                "application/json": {
                    /** @description The lease, as the claim answered it. */
                    token: string;
                    action: "retry" | "park";
                    /** @description The event that failed; everything of the lease when absent. */
                    position?: number;
                    /** @description Kept with an event that is parked. */
                    reason?: string;
                    /** @description With `retry`: earliest next attempt; 1, 2, 4 … seconds by attempts when absent. */
                    delay_seconds?: number;
                };
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Progress"];
                };
            };
        };
    };
    getMigrations: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "up_to_date",
                     *       "current": 1,
                     *       "latest": 1,
                     *       "migrations": [
                     *         {
                     *           "version": 1,
                     *           "name": "0001_events",
                     *           "description": "Create the table of events",
                     *           "breaking": null,
                     *           "state": "applied",
                     *           "checksum": "25f3cfcbf2f7199ed7c53f0768cabc75d35ce512daf832dd03fb669a0a02a1a9",
                     *           "applied_checksum": "25f3cfcbf2f7199ed7c53f0768cabc75d35ce512daf832dd03fb669a0a02a1a9",
                     *           "applied_at": "2026-01-15T09:30:00.123456Z",
                     *           "duration_ms": 15,
                     *           "failure": null
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": {
                        /**
                         * @description `drift`: one is changed or missing; `newer`: the database was migrated by a newer version.
                         * @enum {string}
                         */
                        status: "up_to_date" | "pending" | "drift" | "newer";
                        /** @description Highest version that is applied; 0 for none. */
                        current: number;
                        /** @description Highest version that this service knows. */
                        latest: number;
                        migrations: {
                            version: number;
                            /** @description File name without `.sql`. */
                            name: string;
                            /** @description Null when the file is missing. */
                            description: string | null;
                            /** @description What users of the database have to know before it runs. */
                            breaking: string | null;
                            /**
                             * @description `changed`: edited after it was applied; `missing`: applied, and unknown to this version.
                             * @enum {string}
                             */
                            state: "applied" | "pending" | "changed" | "missing";
                            /** @description SHA-256 of the file; null when it is missing. */
                            checksum: string | null;
                            /** @description SHA-256 of what was applied. */
                            applied_checksum: string | null;
                            /** @description RFC 3339. */
                            applied_at: string | null;
                            /** @description How long it took. */
                            duration_ms: number | null;
                            /** @description When a pending one was tried and failed: `at` and `error`. */
                            failure: Record<string, unknown> | null;
                        }[];
                    };
                };
            };
        };
    };
    applyMigrations: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "dry_run": false
                 *     }
                 */
                "application/json": {
                    /**
                     * @description Try what is pending and roll it back; it takes the same locks.
                     * @default false
                     */
                    dry_run?: boolean;
                };
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "applied": [
                     *         {
                     *           "version": 5,
                     *           "name": "0005_append",
                     *           "duration_ms": 3
                     *         }
                     *       ],
                     *       "dry_run": false
                     *     }
                     */
                    "application/json": {
                        /** @description What was applied, or would be; empty when nothing is pending. */
                        applied: {
                            version: number;
                            name: string;
                            /** @description Null in a dry run for one that can not be tried. */
                            duration_ms: number | null;
                        }[];
                        dry_run: boolean;
                    };
                };
            };
        };
    };
    getSchedules: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "is_on": true,
                     *       "timezone": "UTC",
                     *       "schedules": [
                     *         {
                     *           "name": "daily",
                     *           "cron": "0 2 * * *",
                     *           "task": "create",
                     *           "type": "archive",
                     *           "to": "local",
                     *           "incremental": true,
                     *           "next_at": "2026-01-16T02:00:00.000Z",
                     *           "last": {
                     *             "due_at": "2026-01-15T02:00:00Z",
                     *             "started_at": "2026-01-15T02:00:00.003Z",
                     *             "finished_at": "2026-01-15T02:00:04.120Z",
                     *             "state": "succeeded",
                     *             "error": null
                     *           }
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": {
                        /** @description Whether this service runs them (`SCHEDULES`), when it is the one that leads. */
                        is_on: boolean;
                        /** @description That `cron` is meant in. */
                        timezone: string;
                        schedules: {
                            name: string;
                            cron: string;
                            /** @enum {string} */
                            task: "create" | "prune";
                            /** @description Type of the backup. */
                            type: string | null;
                            /** @description `local` or `offsite`. */
                            to: string | null;
                            incremental: boolean;
                            /** @description RFC 3339. */
                            next_at: string | null;
                            /** @description Null when it never ran. */
                            last: {
                                /** @description The moment that it ran for, RFC 3339. */
                                due_at: string;
                                /** @description RFC 3339. */
                                started_at: string | null;
                                /** @description RFC 3339; null while it runs. */
                                finished_at: string | null;
                                /** @enum {string} */
                                state: "running" | "succeeded" | "failed";
                                /** @description Why it failed. */
                                error: string | null;
                            } | null;
                        }[];
                    };
                };
            };
        };
    };
    getPool: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "size": 5,
                     *       "idle": 4,
                     *       "used": 1,
                     *       "waiting": 0,
                     *       "oldest_wait_ms": null,
                     *       "max": 20,
                     *       "min": 5,
                     *       "acquire": {
                     *         "count": 18201,
                     *         "p50_ms": 0.011,
                     *         "p95_ms": 0.4,
                     *         "p99_ms": 2.431,
                     *         "max_ms": 8.2
                     *       },
                     *       "timeouts": {
                     *         "queue": 0,
                     *         "connect": 0
                     *       },
                     *       "errors": 0,
                     *       "settings": {
                     *         "acquire_timeout_ms": 2000,
                     *         "connect_timeout_ms": 2000,
                     *         "idle_timeout_ms": 600000,
                     *         "max_lifetime_ms": 1800000,
                     *         "test_after_idle_ms": 1000,
                     *         "query_timeout_ms": 5000,
                     *         "session": {
                     *           "statement_timeout": "4000",
                     *           "lock_timeout": "2000"
                     *         },
                     *         "application_name": "annals/0.1.0 5f2c9a1e"
                     *       },
                     *       "server": {
                     *         "max_connections": 200,
                     *         "reserved": 3,
                     *         "used": 9
                     *       }
                     *     }
                     */
                    "application/json": {
                        /** @description Open connections. */
                        size: number;
                        /** @description Of these free. */
                        idle: number;
                        /** @description Of these handed out. */
                        used: number;
                        /** @description Callers that wait for one. */
                        waiting: number;
                        /** @description How long the oldest of them has waited. */
                        oldest_wait_ms: number | null;
                        /** @description `DATABASE_MAX_CONNECTIONS` */
                        max: number;
                        /** @description `DATABASE_MIN_CONNECTIONS` */
                        min: number;
                        /** @description Waits of the last one to two minutes, to 6 %; null when there was none. */
                        acquire: {
                            /** @description Since the start. */
                            count: number;
                            /** @description Half of the callers waited no longer. */
                            p50_ms: number | null;
                            /** @description 95 % of the callers waited no longer. */
                            p95_ms: number | null;
                            /** @description 99 % of the callers waited no longer. */
                            p99_ms: number | null;
                            /** @description The longest wait. */
                            max_ms: number | null;
                        };
                        timeouts: {
                            /** @description No connection came free within `DATABASE_ACQUIRE_TIMEOUT_MS`. */
                            queue: number;
                            /** @description None could be opened within `DATABASE_CONNECT_TIMEOUT_MS`. */
                            connect: number;
                        };
                        /** @description Connections that could not be opened, or died. */
                        errors: number;
                        settings: {
                            acquire_timeout_ms: number;
                            connect_timeout_ms: number;
                            idle_timeout_ms: number;
                            max_lifetime_ms: number;
                            test_after_idle_ms: number;
                            query_timeout_ms: number;
                            /** @description Server settings of each connection. */
                            session: {
                                [key: string]: string;
                            };
                            /** @description As in `pg_stat_activity`. */
                            application_name: string;
                        };
                        /** @description Null while the database can not be asked. */
                        server: {
                            /** @description What the server takes in all. */
                            max_connections: number;
                            /** @description Of these kept for superusers. */
                            reserved: number;
                            /** @description Open at the moment, by anybody. */
                            used: number;
                        } | null;
                    };
                };
            };
        };
    };
    getPoolSizing: {
        parameters: {
            query: {
                /** @description At the peak, of one replica. Absent: what the pool measured in the last minutes. */
                requests_per_second?: number;
                /** @description How long a request holds a connection. Absent: what the pool measured. */
                hold_ms?: number;
                /** @description How long a request takes in all. Absent: what the service measured. */
                request_ms?: number;
                /** @description Added to the result. */
                buffer: number;
                /** @description Of the database server. Absent: those of this machine. */
                cores?: number;
                /** @description Disks of the database server that work at a time. */
                spindles: number;
                /** @description Instances of the service on this database. */
                replicas: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description How many connections, by three formulas, and whether the server has room for them. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        formulas: {
                            name: "seed" | "littles_law" | "cores_and_spindles";
                            /** @description With the values put in. */
                            formula: string;
                            /** @description Null when a value is neither given nor measured yet. */
                            connections: number | null;
                            note: string;
                        }[];
                        band: {
                            name: string;
                            applies_to: string;
                            min: number;
                            max: number;
                        };
                        /** @description Maximum for the pool of one replica. */
                        recommended: number;
                        server_limit: {
                            max_connections: number;
                            /** @description Left to background tasks, administration, health checks, superusers. */
                            reserve: number;
                            /** @description replicas × DATABASE_MAX_CONNECTIONS + reserve */
                            needed: number;
                            fits: boolean;
                            /** @description Largest maximum with which all replicas fit. */
                            largest_max: number;
                            note: string;
                        } | null;
                        /** @description What stands in for parameters that are absent. */
                        measured: {
                            requests_per_second: number;
                            hold_ms: number | null;
                            request_ms: number | null;
                            cores: number;
                        };
                    };
                };
            };
        };
    };
    checkIntegrity: {
        parameters: {
            query?: {
                /** @description Events after this position; from the beginning when absent. */
                after?: number;
                /** @description Snapshots instead of events, of streams after this id; empty for all. As `next` has it. */
                snapshots_after?: string;
                /** @description Events or snapshots that this request looks at, 10000 when absent; a smaller one takes less time. */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One piece of the store. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @description Nothing was found in this piece. */
                        is_sound: boolean;
                        findings: {
                            /** @description What does not hold, such as `position_gap` or `object_missing`. */
                            rule: string;
                            detail: string;
                            position: number | null;
                            stream_id: string | null;
                        }[];
                        /** @description Looked at by this request. */
                        events: number;
                        snapshots: number;
                        /** @description Every event up to this position has been looked at, by this request and those before it. */
                        checked_to: number | null;
                        /** @description The last position. */
                        head: number;
                        /** @description False when an index is missing that this needs; `annals verify` looks at the rows all the same. */
                        rows_checked: boolean;
                        /** @description Goes on with the next piece; null after the last. */
                        next: string | null;
                    };
                };
            };
        };
    };
    listBackups: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupList"];
                };
            };
        };
    };
    createBackup: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "type": "archive"
                 *     }
                 */
                "application/json": {
                    /**
                     * @description As `GET /backups/types` lists them.
                     * @default archive
                     */
                    type?: string;
                    /** @description Only what came after this backup. */
                    since?: string;
                    /** @description Of a dump; `custom` when absent. */
                    format?: "custom" | "plain";
                    /** @description Compress a plain dump. */
                    gzip?: boolean;
                    /** @description Of pgBackRest. */
                    kind?: "full" | "diff" | "incr";
                    /** @description Of the type `tables`, which needs them. */
                    tables?: string[];
                };
            };
        };
        responses: {
            /** @description The job has begun; `Location` names it. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobStarted"];
                };
            };
        };
    };
    listBackupTypes: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["BackupTypes"];
                };
            };
        };
    };
    getBackup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `backup_YYYYMMDD_HHMMSS`, in UTC. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Backup"];
                };
            };
        };
    };
    verifyBackup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `backup_YYYYMMDD_HHMMSS`, in UTC. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "level": 1
                 *     }
                 */
                "application/json": {
                    /**
                     * @description 0: files and hashes. 1: read to the end. 2: restored into a scratch database. 3: and compared row by row with the live store.
                     * @default 1
                     */
                    level?: number;
                };
            };
        };
        responses: {
            /** @description The job has begun; `Location` names it. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobStarted"];
                };
            };
        };
    };
    testBackup: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description `backup_YYYYMMDD_HHMMSS`, in UTC. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": Record<string, unknown>;
            };
        };
        responses: {
            /** @description The job has begun; `Location` names it. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["JobStarted"];
                };
            };
        };
    };
    getJob: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A UUID. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Job"];
                };
            };
        };
    };
    getMetrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                    "application/openmetrics-text": string;
                };
            };
        };
    };
    getOpenApi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OpenAPI 3.1 */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        [key: string]: unknown;
                    };
                };
            };
        };
    };
    importEvents: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Imported"];
                };
            };
        };
    };
}
