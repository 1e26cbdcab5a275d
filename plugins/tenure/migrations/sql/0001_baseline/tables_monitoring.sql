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


-- Something that a person should look at. Refuses a second open one of the same key: it counts as
-- one more member instead.
CREATE TABLE incident (
    id          bigint        GENERATED ALWAYS AS IDENTITY,
    dedupe_key  varchar(250)  NOT NULL,
    kind        varchar(32)   NOT NULL,
    subject     text          NOT NULL,
    severity    varchar(16)   NOT NULL,
    summary     text          NOT NULL,
    state       varchar(16)   NOT NULL DEFAULT 'open',
    members     integer       NOT NULL DEFAULT 1,
    facts       jsonb         NOT NULL DEFAULT '{}',
    created_at  timestamptz   NOT NULL DEFAULT now(),
    closed_at   timestamptz,
    opened_by   varchar(64)   NOT NULL DEFAULT current_user,  -- the role of the database

    CONSTRAINT pk_incident PRIMARY KEY (id)
);

CREATE UNIQUE INDEX uq_open_incident ON incident (dedupe_key) WHERE state = 'open';
