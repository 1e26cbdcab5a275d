-- The ledger: what happened, in an order that nobody can change afterwards.


-- A stage's report; the whole text lies in the object store under its digest. A task that is tried
-- again files it once.
CREATE TABLE report (
    id          bigint        GENERATED ALWAYS AS IDENTITY,
    digest      varchar(64)   NOT NULL,
    stage       varchar(32)   NOT NULL,
    subject     text          NOT NULL,
    model       varchar(64),
    dataset     varchar(64),
    verdict     varchar(16)   NOT NULL,
    summary     text          NOT NULL,
    body        jsonb         NOT NULL DEFAULT '{}',
    dag_id      varchar(250),
    run_id      varchar(250),
    task_id     varchar(250),
    map_index   integer       NOT NULL DEFAULT -1,
    created_at  timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_report PRIMARY KEY (id),
    CONSTRAINT uq_report_digest_dag_id_run_id_task_id_map_index
        UNIQUE NULLS NOT DISTINCT (digest, dag_id, run_id, task_id, map_index)
);

CREATE INDEX ix_report_task ON report (dag_id, run_id, task_id);


-- Messages promised in a transaction and delivered after it, at least once.
CREATE TABLE outbox (
    id            bigint       GENERATED ALWAYS AS IDENTITY,
    op_key        varchar(64)  NOT NULL,
    topic         varchar(64)  NOT NULL,
    body          jsonb        NOT NULL DEFAULT '{}',
    attempts      integer      NOT NULL DEFAULT 0,
    last_error    text,
    created_at    timestamptz  NOT NULL DEFAULT now(),
    delivered_at  timestamptz,

    CONSTRAINT pk_outbox PRIMARY KEY (id),
    CONSTRAINT uq_outbox_op_key UNIQUE (op_key)
);


-- The events, each with the hash of the one before it. Refuses the same command (op_key) twice, a
-- fork of the chain, and two events of a subject with the same generation.
CREATE TABLE ledger_event (
    seq         bigint        NOT NULL,
    op_key      varchar(64)   NOT NULL,
    subject     varchar(250)  NOT NULL,
    generation  integer       NOT NULL,
    src         varchar(16),
    dst         varchar(16),
    actor       varchar(250)  NOT NULL,
    body        jsonb         NOT NULL DEFAULT '{}',
    at          timestamptz   NOT NULL,
    prev_hash   varchar(64)   NOT NULL,
    hash        varchar(64)   NOT NULL,

    CONSTRAINT pk_ledger_event PRIMARY KEY (seq),
    CONSTRAINT uq_ledger_event_op_key UNIQUE (op_key),
    CONSTRAINT uq_ledger_event_prev_hash UNIQUE (prev_hash),
    CONSTRAINT uq_ledger_event_hash UNIQUE (hash),
    CONSTRAINT uq_ledger_event_subject_generation UNIQUE (subject, generation)
);


-- The newest event, a second time: a chain that lost its end is found out. One row.
CREATE TABLE ledger_head (
    id    integer      NOT NULL,
    seq   bigint       NOT NULL,
    hash  varchar(64)  NOT NULL,
    at    timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT pk_ledger_head PRIMARY KEY (id),
    CONSTRAINT ck_ledger_head_single CHECK (id = 1)
);
