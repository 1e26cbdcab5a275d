-- Data: how datasets are configured, what was judged, what was published, who read it.


-- The text of a dataset's or model's YAML file by its digest, so that old rows can be explained.
CREATE TABLE config_revision (
    digest      varchar(64)  NOT NULL,
    kind        varchar(16)  NOT NULL,
    name        varchar(64)  NOT NULL,
    body        text         NOT NULL,
    created_at  timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT pk_config_revision PRIMARY KEY (digest)
);


-- The text of an expectation suite by its digest.
CREATE TABLE suite_revision (
    digest      varchar(64)  NOT NULL,
    name        varchar(64)  NOT NULL,
    body        text         NOT NULL,
    created_at  timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT pk_suite_revision PRIMARY KEY (digest)
);


-- A change of a suite that a steward asks for: the whole text that is to judge, what it was made from,
-- and the differences in words, as they were shown. Refuses one that changes nothing.
CREATE TABLE suite_proposal (
    id             bigint        GENERATED ALWAYS AS IDENTITY,
    suite          varchar(64)   NOT NULL,
    file_digest    varchar(64)   NOT NULL,
    before_digest  varchar(64)   NOT NULL,
    digest         varchar(64)   NOT NULL,
    body           text          NOT NULL,
    changes        jsonb         NOT NULL,
    reason         text          NOT NULL,
    proposed_by    varchar(250)  NOT NULL,
    created_at     timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_suite_proposal PRIMARY KEY (id),
    CONSTRAINT ck_suite_proposal_changes CHECK (digest <> before_digest),
    CONSTRAINT ck_suite_proposal_reason CHECK (reason <> '')
);

CREATE INDEX ix_suite_proposal_suite ON suite_proposal (suite);


-- What a second person answered to a proposal, once. Who proposed it may only take it back
-- (guards_suites.sql). While the suite's file has the proposal's file_digest, the text that was
-- accepted last judges in its place.
CREATE TABLE suite_answer (
    id           bigint        GENERATED ALWAYS AS IDENTITY,
    proposal_id  bigint        NOT NULL,
    answer       varchar(16)   NOT NULL,
    answered_by  varchar(250)  NOT NULL,
    reason       text          NOT NULL,
    created_at   timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_suite_answer PRIMARY KEY (id),
    CONSTRAINT uq_suite_answer_proposal_id UNIQUE (proposal_id),
    CONSTRAINT fk_suite_answer_proposal_id
        FOREIGN KEY (proposal_id) REFERENCES suite_proposal (id),
    CONSTRAINT ck_suite_answer_known CHECK (answer IN ('accept', 'decline'))
);


CREATE TABLE dataset (
    name         varchar(64)   NOT NULL,
    owner        varchar(250)  NOT NULL,
    steward      varchar(250)  NOT NULL,
    sensitivity  varchar(16)   NOT NULL,
    created_at   timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_dataset PRIMARY KEY (name)
);


-- A published batch. The digest is that of its rows: the same rows are the same snapshot.
CREATE TABLE snapshot (
    id               bigint        GENERATED ALWAYS AS IDENTITY,
    dataset          varchar(64)   NOT NULL,
    batch            varchar(250)  NOT NULL,
    digest           varchar(64)   NOT NULL,
    rows             bigint        NOT NULL,
    manifest_digest  varchar(64)   NOT NULL,
    suite_digest     varchar(64)   NOT NULL,
    time_min         timestamptz,
    time_max         timestamptz,
    created_at       timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_snapshot PRIMARY KEY (id),
    CONSTRAINT uq_snapshot_dataset_digest UNIQUE (dataset, digest),
    CONSTRAINT fk_snapshot_dataset FOREIGN KEY (dataset) REFERENCES dataset (name)
);


-- One judgement of one source file by one suite. Refuses a passed batch without a snapshot, a
-- snapshot without a passed batch, and rows that are neither published nor quarantined.
CREATE TABLE validation (
    id                bigint        GENERATED ALWAYS AS IDENTITY,
    dataset           varchar(64)   NOT NULL,
    batch             varchar(250)  NOT NULL,
    source_key        text          NOT NULL,
    source_digest     varchar(64)   NOT NULL,
    suite_digest      varchar(64)   NOT NULL,
    config_digest     varchar(64)   NOT NULL,
    verdict           varchar(16)   NOT NULL,
    rows_in           bigint        NOT NULL,
    rows_ok           bigint        NOT NULL,
    rows_quarantined  bigint        NOT NULL,
    quarantine_key    text,
    snapshot_id       bigint,
    report_digest     varchar(64)   NOT NULL,
    created_at        timestamptz   NOT NULL DEFAULT now(),
    shape             jsonb,

    CONSTRAINT pk_validation PRIMARY KEY (id),
    CONSTRAINT fk_validation_dataset FOREIGN KEY (dataset) REFERENCES dataset (name),
    CONSTRAINT fk_validation_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES snapshot (id),
    CONSTRAINT ck_validation_published
        CHECK ((verdict = 'passed') = (snapshot_id IS NOT NULL)),
    CONSTRAINT ck_validation_rows_conserved
        CHECK (rows_in = rows_ok + rows_quarantined)
);

CREATE INDEX ix_validation_dataset_source_key_id ON validation (dataset, source_key, id);
CREATE INDEX ix_validation_dataset_batch_id ON validation (dataset, batch, id);


-- Who opened which snapshot, or which quarantined rows, and what for. Refuses a reader without a
-- name, and a read of nothing.
CREATE TABLE snapshot_read (
    id              bigint        GENERATED ALWAYS AS IDENTITY,
    dataset         varchar(64)   NOT NULL,
    digest          varchar(64),
    quarantine_key  text,
    purpose         varchar(32)   NOT NULL,
    model           varchar(64),
    reader          varchar(250)  NOT NULL,
    dag_id          varchar(250),
    run_id          varchar(250),
    task_id         varchar(250),
    map_index       integer       NOT NULL DEFAULT -1,
    created_at      timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_snapshot_read PRIMARY KEY (id),
    CONSTRAINT fk_snapshot_read_dataset_digest
        FOREIGN KEY (dataset, digest) REFERENCES snapshot (dataset, digest),
    CONSTRAINT ck_snapshot_read_somebody CHECK (reader <> ''),
    CONSTRAINT ck_snapshot_read_something
        CHECK ((digest IS NULL) <> (quarantine_key IS NULL))
);

CREATE INDEX ix_snapshot_read_dataset_digest ON snapshot_read (dataset, digest);


-- What a steward decided about the rows of a judged file that were set aside for one cause: that
-- they are discarded, or that she asks a second person to release them. Refuses one about no row.
CREATE TABLE quarantine_decision (
    id             bigint        GENERATED ALWAYS AS IDENTITY,
    dataset        varchar(64)   NOT NULL,
    validation_id  bigint        NOT NULL,
    act            varchar(16)   NOT NULL,
    cause_id       varchar(16)   NOT NULL,
    cause          text          NOT NULL,
    rows           bigint        NOT NULL,
    reason         text          NOT NULL,
    decided_by     varchar(250)  NOT NULL,
    created_at     timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_quarantine_decision PRIMARY KEY (id),
    CONSTRAINT fk_quarantine_decision_dataset FOREIGN KEY (dataset) REFERENCES dataset (name),
    CONSTRAINT fk_quarantine_decision_validation_id
        FOREIGN KEY (validation_id) REFERENCES validation (id),
    CONSTRAINT ck_quarantine_decision_known CHECK (act IN ('release', 'discard')),
    CONSTRAINT ck_quarantine_decision_some CHECK (rows > 0),
    CONSTRAINT ck_quarantine_decision_reason CHECK (reason <> '')
);

CREATE INDEX ix_quarantine_decision_dataset_id ON quarantine_decision (dataset, id);


-- What a second person answered to a proposed release, once; validation_id is the judgement that
-- the release made. Who proposed it may only take it back (guards_suites.sql).
CREATE TABLE quarantine_answer (
    id             bigint        GENERATED ALWAYS AS IDENTITY,
    decision_id    bigint        NOT NULL,
    answer         varchar(16)   NOT NULL,
    answered_by    varchar(250)  NOT NULL,
    reason         text          NOT NULL,
    validation_id  bigint,
    created_at     timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_quarantine_answer PRIMARY KEY (id),
    CONSTRAINT uq_quarantine_answer_decision_id UNIQUE (decision_id),
    CONSTRAINT fk_quarantine_answer_decision_id
        FOREIGN KEY (decision_id) REFERENCES quarantine_decision (id),
    CONSTRAINT fk_quarantine_answer_validation_id
        FOREIGN KEY (validation_id) REFERENCES validation (id),
    CONSTRAINT ck_quarantine_answer_known CHECK (answer IN ('accept', 'decline')),
    CONSTRAINT ck_quarantine_answer_released
        CHECK ((answer = 'accept') = (validation_id IS NOT NULL))
);


-- What a person wrote about a dataset, for whoever works with it next. Refuses an empty one.
CREATE TABLE dataset_note (
    id          bigint        GENERATED ALWAYS AS IDENTITY,
    dataset     varchar(64)   NOT NULL,
    body        text          NOT NULL,
    author      varchar(250)  NOT NULL,
    created_at  timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_dataset_note PRIMARY KEY (id),
    CONSTRAINT ck_dataset_note_said CHECK (body <> '')
);

CREATE INDEX ix_dataset_note_dataset_id ON dataset_note (dataset, id);


-- Who wants to be named in alerts about a dataset; the newest row of a person holds.
CREATE TABLE dataset_subscription (
    id          bigint        GENERATED ALWAYS AS IDENTITY,
    dataset     varchar(64)   NOT NULL,
    person      varchar(250)  NOT NULL,
    is_on       boolean       NOT NULL,
    created_at  timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_dataset_subscription PRIMARY KEY (id)
);

CREATE INDEX ix_dataset_subscription_dataset_person_id
    ON dataset_subscription (dataset, person, id);
