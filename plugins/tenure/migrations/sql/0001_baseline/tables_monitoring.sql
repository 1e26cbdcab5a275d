-- Monitoring: what was found on live decisions, and what follows from it.


-- One kind of monitoring of one version over one window.
CREATE TABLE monitoring_result (
    id                bigint       GENERATED ALWAYS AS IDENTITY,
    model             varchar(64)  NOT NULL,
    model_version_id  bigint       NOT NULL,
    window_start      timestamptz  NOT NULL,
    window_end        timestamptz  NOT NULL,
    kind              varchar(16)  NOT NULL,
    verdict           varchar(16)  NOT NULL,
    decisions         bigint       NOT NULL,
    selection         varchar(64)  NOT NULL,
    facts             jsonb        NOT NULL DEFAULT '{}',
    report_digest     varchar(64)  NOT NULL,
    created_at        timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT pk_monitoring_result PRIMARY KEY (id),
    -- A selection is the digest of what was judged: two windows of the same time may hold others.
    CONSTRAINT uq_monitoring_result_model_version_id_kind_selection
        UNIQUE (model_version_id, kind, selection),
    CONSTRAINT fk_monitoring_result_model FOREIGN KEY (model) REFERENCES model (name),
    CONSTRAINT fk_monitoring_result_model_version_id
        FOREIGN KEY (model_version_id) REFERENCES model_version (id)
);


-- What was counted of a stream on one day of event time. A day that is counted again replaces itself.
CREATE TABLE stream_count (
    model_version_id  bigint       NOT NULL,
    stream            text         NOT NULL,
    day               date         NOT NULL,
    layout            varchar(64)  NOT NULL,  -- digest of what the counts are counts of
    logged            bigint       NOT NULL,  -- decisions of the day when it was counted
    rows              bigint       NOT NULL,
    counts            jsonb        NOT NULL,
    counted_at        timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT pk_stream_count PRIMARY KEY (model_version_id, stream, day),
    CONSTRAINT fk_stream_count_model_version_id
        FOREIGN KEY (model_version_id) REFERENCES model_version (id)
);


-- The detector of a stream after each of its windows: all of it follows from stream_count.
CREATE TABLE stream_window (
    model_version_id  bigint            NOT NULL,
    stream            text              NOT NULL,
    start             date              NOT NULL,
    days              integer           NOT NULL,
    rows              bigint            NOT NULL,
    effect            double precision,            -- none: too few rows
    u                 double precision  NOT NULL,  -- drawn once, settles ties of ranks
    quarters          double precision  NOT NULL,  -- for one false alarm, when it was first judged
    state             varchar(16)       NOT NULL,
    log_m             double precision,
    log_c             double precision,
    is_over           boolean           NOT NULL,

    CONSTRAINT pk_stream_window PRIMARY KEY (model_version_id, stream, start),
    CONSTRAINT fk_stream_window_model_version_id
        FOREIGN KEY (model_version_id) REFERENCES model_version (id)
);


-- Whether a stream is promised, at which width and since when, or why it is not.
CREATE TABLE watched_stream (
    model_version_id  bigint       NOT NULL,
    stream            text         NOT NULL,
    days              integer,
    since             date,
    by_weekend        boolean      NOT NULL,
    is_tested         boolean      NOT NULL,
    why               text         NOT NULL,
    judged_at         timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT pk_watched_stream PRIMARY KEY (model_version_id, stream),
    CONSTRAINT fk_watched_stream_model_version_id
        FOREIGN KEY (model_version_id) REFERENCES model_version (id)
);


-- A wish for a new version, with its reason. Refuses a second one of a model while one is under
-- way.
CREATE TABLE retrain_request (
    id                bigint        GENERATED ALWAYS AS IDENTITY,
    model             varchar(64)   NOT NULL,
    reason_code       varchar(32)   NOT NULL,
    reason            text          NOT NULL,
    requested_by      varchar(250)  NOT NULL,
    state             varchar(16)   NOT NULL,
    model_version_id  bigint,
    closed_at         timestamptz,
    created_at        timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_retrain_request PRIMARY KEY (id),
    CONSTRAINT fk_retrain_request_model FOREIGN KEY (model) REFERENCES model (name),
    CONSTRAINT fk_retrain_request_model_version_id
        FOREIGN KEY (model_version_id) REFERENCES model_version (id),
    CONSTRAINT ck_retrain_request_known_state
        CHECK (state IN ('open', 'running', 'done', 'failed'))
);

CREATE UNIQUE INDEX uq_one_open_retrain ON retrain_request (model)
    WHERE state IN ('open', 'running');


-- Something that a person should look at. Refuses a second open one of the same key: what was seen
-- again is counted instead.
CREATE TABLE incident (
    id               bigint        GENERATED ALWAYS AS IDENTITY,
    dedupe_key       varchar(250)  NOT NULL,
    kind             varchar(64)   NOT NULL,
    subject          text          NOT NULL,
    severity         varchar(16)   NOT NULL,
    summary          text          NOT NULL,
    state            varchar(16)   NOT NULL DEFAULT 'open',
    seen             integer       NOT NULL DEFAULT 1,
    facts            jsonb         NOT NULL DEFAULT '{}',
    created_at       timestamptz   NOT NULL DEFAULT now(),
    last_seen_at     timestamptz   NOT NULL DEFAULT now(),
    escalation       text,                                    -- why somebody is told once more
    owner            varchar(250),                            -- who acknowledged it
    acknowledged_at  timestamptz,
    snoozed_until    timestamptz,
    restored_at      timestamptz,                             -- when a sev1 was over but for:
    remediation_due  date,                                    -- the first remediation not yet done
    remediated_at    timestamptz,                             -- when all were; none left
    closed_at        timestamptz,
    closed_by        varchar(250),                            -- a person; nobody when it was over
    closed_reason    text,
    told_event       bigint        NOT NULL DEFAULT 0,        -- the last event with an alert
    untold           boolean       NOT NULL DEFAULT true,     -- whether there may be a later one
    opened_by        varchar(64)   NOT NULL DEFAULT current_user,  -- the role of the database

    CONSTRAINT pk_incident PRIMARY KEY (id),
    CONSTRAINT ck_incident_known_severity CHECK (severity IN ('sev1', 'sev2', 'sev3')),
    CONSTRAINT ck_incident_known_state CHECK (state IN ('open', 'restored', 'closed')),
    CONSTRAINT ck_incident_closed_at_a_moment CHECK ((state = 'closed') = (closed_at IS NOT NULL)),
    -- The gravest ones are not over when the service is: something has to be done about the cause.
    CONSTRAINT ck_incident_sev1_is_remediated
        CHECK (state <> 'closed' OR severity <> 'sev1' OR remediated_at IS NOT NULL)
);

CREATE UNIQUE INDEX uq_open_incident ON incident (dedupe_key) WHERE state = 'open';
CREATE INDEX ix_untold_incident ON incident (id) WHERE untold;


-- What an incident is made of: task instances with their failure cards, or items of a list.
CREATE TABLE incident_member (
    id             bigint         GENERATED ALWAYS AS IDENTITY,
    incident_id    bigint         NOT NULL,
    name           varchar(1000)  NOT NULL,
    item           text           NOT NULL DEFAULT '',
    dag_id         varchar(250),
    run_id         varchar(250),
    task_id        varchar(250),
    map_index      integer        NOT NULL DEFAULT -1,
    report_digest  varchar(64),
    seen           integer        NOT NULL DEFAULT 1,
    first_at       timestamptz    NOT NULL,
    last_at        timestamptz    NOT NULL,
    repaired_at    timestamptz,

    CONSTRAINT pk_incident_member PRIMARY KEY (id),
    CONSTRAINT uq_incident_member_incident_id_name UNIQUE (incident_id, name),
    CONSTRAINT fk_incident_member_incident_id FOREIGN KEY (incident_id) REFERENCES incident (id)
);

CREATE INDEX ix_unrepaired_member ON incident_member (dag_id, task_id) WHERE repaired_at IS NULL;


-- What is done about the cause of a sev1, by whom and until when (guards_incidents.sql).
CREATE TABLE remediation (
    id           bigint        GENERATED ALWAYS AS IDENTITY,
    incident_id  bigint        NOT NULL,
    action       text          NOT NULL,
    owner        varchar(250)  NOT NULL,
    due          date          NOT NULL,
    written_by   varchar(250)  NOT NULL,
    written_at   timestamptz   NOT NULL DEFAULT now(),
    done_at      timestamptz,
    done_by      varchar(250),
    done_note    text,

    CONSTRAINT pk_remediation PRIMARY KEY (id),
    CONSTRAINT fk_remediation_incident_id FOREIGN KEY (incident_id) REFERENCES incident (id),
    CONSTRAINT ck_remediation_done_by_somebody
        CHECK (num_nulls(done_at, done_by, done_note) IN (0, 3))
);

CREATE INDEX ix_remediation_incident_id ON remediation (incident_id);


-- The timeline of an incident. Triggers write it (guards_incidents.sql), so that nobody forgets to.
CREATE TABLE incident_event (
    id           bigint        GENERATED ALWAYS AS IDENTITY,
    incident_id  bigint        NOT NULL,
    kind         varchar(16)   NOT NULL,
    actor        varchar(250),
    note         text          NOT NULL DEFAULT '',
    at           timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_incident_event PRIMARY KEY (id),
    CONSTRAINT fk_incident_event_incident_id FOREIGN KEY (incident_id) REFERENCES incident (id),
    CONSTRAINT ck_incident_event_known_kind CHECK (
        kind IN ('opened', 'joined', 'escalated', 'acknowledged', 'snoozed', 'closed', 'alerted',
                 'not_alerted', 'acted', 'restored', 'remediation', 'remediated')
    )
);

CREATE INDEX ix_incident_event_incident_id ON incident_event (incident_id);
