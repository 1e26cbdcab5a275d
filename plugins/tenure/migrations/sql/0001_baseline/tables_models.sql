-- Models: their versions, what each was trained on, which moves are legal, who approved.


CREATE TABLE model (
    name        varchar(64)   NOT NULL,
    owner       varchar(250)  NOT NULL,
    risk_tier   varchar(16)   NOT NULL,
    purpose     text          NOT NULL,
    watermark   timestamptz,  -- outcomes are complete up to this moment
    created_at  timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_model PRIMARY KEY (name)
);


-- A version of a model. The generation counts its moves from state to state.
-- Refuses a trained version without a signed artifact, a validated one without both reports, a
-- second canary or champion of a model, and a second version of the same training.
CREATE TABLE model_version (
    id                 bigint        GENERATED ALWAYS AS IDENTITY,
    model              varchar(64)   NOT NULL,
    version            integer       NOT NULL,
    state              varchar(16)   NOT NULL,
    generation         integer       NOT NULL DEFAULT 0,
    trained_by         varchar(250)  NOT NULL,
    training_key       varchar(64)   NOT NULL,
    artifact_digest    varchar(64),
    signature          text,
    data_digest        varchar(64),
    suite_digest       varchar(64),
    code_digest        varchar(64),
    config_digest      varchar(64),
    lock_digest        varchar(64),
    mlflow_run_id      varchar(64),
    evaluation_report  varchar(64),
    bias_report        varchar(64),
    facts              jsonb         NOT NULL DEFAULT '{}',
    created_at         timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_model_version PRIMARY KEY (id),
    CONSTRAINT uq_model_version_model_version UNIQUE (model, version),
    CONSTRAINT uq_model_version_training_key UNIQUE (training_key),
    CONSTRAINT uq_model_version_mlflow_run_id UNIQUE (mlflow_run_id),
    CONSTRAINT fk_model_version_model FOREIGN KEY (model) REFERENCES model (name),
    CONSTRAINT ck_model_version_known_state CHECK (
        state IN (
            'draft', 'trained', 'validated', 'approved', 'canary', 'champion',
            'superseded', 'rolled_back', 'rejected', 'retiring', 'archived', 'deleted'
        )
    ),
    CONSTRAINT ck_model_version_has_artifact CHECK (
        state IN ('draft', 'rejected', 'retiring', 'archived', 'deleted')
        OR (artifact_digest IS NOT NULL AND signature IS NOT NULL)
    ),
    CONSTRAINT ck_model_version_has_evidence CHECK (
        state IN ('draft', 'trained', 'rejected', 'retiring', 'archived', 'deleted')
        OR (evaluation_report IS NOT NULL AND bias_report IS NOT NULL)
    )
);

CREATE UNIQUE INDEX uq_one_champion ON model_version (model) WHERE state = 'champion';
CREATE UNIQUE INDEX uq_one_canary ON model_version (model) WHERE state = 'canary';


-- Which snapshots a version was trained on.
CREATE TABLE training_snapshot (
    model_version_id  bigint  NOT NULL,
    snapshot_id       bigint  NOT NULL,

    CONSTRAINT pk_training_snapshot PRIMARY KEY (model_version_id, snapshot_id),
    CONSTRAINT fk_training_snapshot_model_version_id
        FOREIGN KEY (model_version_id) REFERENCES model_version (id),
    CONSTRAINT fk_training_snapshot_snapshot_id
        FOREIGN KEY (snapshot_id) REFERENCES snapshot (id)
);


-- The moves from state to state that a version may make; guards_versions.sql refuses all others.
CREATE TABLE legal_move (
    src  varchar(16)  NOT NULL,
    dst  varchar(16)  NOT NULL,

    CONSTRAINT pk_legal_move PRIMARY KEY (src, dst)
);

INSERT INTO legal_move (src, dst) VALUES
    ('draft',       'trained'),
    ('trained',     'validated'),
    ('validated',   'approved'),
    ('approved',    'canary'),
    ('approved',    'champion'),
    ('canary',      'champion'),
    ('champion',    'superseded'),
    ('superseded',  'champion'),
    ('canary',      'rolled_back'),
    ('champion',    'rolled_back'),
    ('draft',       'rejected'),
    ('trained',     'rejected'),
    ('validated',   'rejected'),
    ('approved',    'rejected'),
    ('superseded',  'retiring'),
    ('rolled_back', 'retiring'),
    ('rejected',    'retiring'),
    ('retiring',    'archived'),
    ('archived',    'deleted');


-- One person's answer about exactly one artifact and its evidence. Refuses the trainer, in
-- whatever case the name is written. A second row of the same person is a renewal: guards_approvals
-- refuses any other.
CREATE TABLE approval (
    id                bigint        GENERATED ALWAYS AS IDENTITY,
    model_version_id  bigint        NOT NULL,
    action            varchar(32)   NOT NULL,
    approver          varchar(250)  NOT NULL,
    trained_by        varchar(250)  NOT NULL,
    answer            varchar(16)   NOT NULL,
    artifact_digest   varchar(64)   NOT NULL,
    evidence_digest   varchar(64)   NOT NULL,
    note              text          NOT NULL DEFAULT '',
    expires_at        timestamptz   NOT NULL,
    created_at        timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_approval PRIMARY KEY (id),
    CONSTRAINT uq_approval_model_version_id_action_approver_expires_at
        UNIQUE (model_version_id, action, approver, expires_at),
    CONSTRAINT fk_approval_model_version_id
        FOREIGN KEY (model_version_id) REFERENCES model_version (id),
    CONSTRAINT ck_approval_second_person CHECK (lower(approver) <> lower(trained_by)),
    CONSTRAINT ck_approval_known_answer CHECK (answer IN ('approve', 'reject'))
);
