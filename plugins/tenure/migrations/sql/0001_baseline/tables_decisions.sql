-- Decisions: the log itself lies in the object store; here is what must be exact.


-- The key that opens what was logged about one subject. To destroy it is to erase the subject.
-- Refuses a destroyed key that is still there, and a missing one that nobody destroyed.
CREATE TABLE subject_key (
    id                 bigint       GENERATED ALWAYS AS IDENTITY,
    subject_pseudonym  varchar(64)  NOT NULL,
    wrapped_key        text,
    destroyed_at       timestamptz,

    CONSTRAINT pk_subject_key PRIMARY KEY (id),
    CONSTRAINT uq_subject_key_subject_pseudonym UNIQUE (subject_pseudonym),
    CONSTRAINT ck_subject_key_shredded
        CHECK ((wrapped_key IS NULL) = (destroyed_at IS NOT NULL))
);


-- What every file of the decision log was when it was shipped, said before it was stored. A file
-- that is gone, cut, edited or added differs from it. Refuses the same bytes under a key twice.
CREATE TABLE log_segment (
    id           bigint       GENERATED ALWAYS AS IDENTITY,
    key          text         NOT NULL,
    model        varchar(64)  NOT NULL,
    digest       varchar(64)  NOT NULL,
    rows         bigint       NOT NULL,
    replaces     jsonb,       -- names of the files that a compacted one stands for
    writer       varchar(64)  NOT NULL,
    recorded_at  timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT pk_log_segment PRIMARY KEY (id),
    CONSTRAINT uq_log_segment_key_digest UNIQUE (key, digest),
    CONSTRAINT ck_log_segment_counted CHECK (rows >= 0)
);


-- Which snapshots of outcomes were taken into the log: each once.
CREATE TABLE outcome_intake (
    model            varchar(64)  NOT NULL,
    snapshot_digest  varchar(64)  NOT NULL,
    rows             bigint       NOT NULL,
    refused          bigint       NOT NULL,
    created_at       timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT pk_outcome_intake PRIMARY KEY (model, snapshot_digest),
    CONSTRAINT fk_outcome_intake_model FOREIGN KEY (model) REFERENCES model (name)
);


-- The queue of decisions that a person looks at. Refuses an answer that is nobody's, and a state
-- that does not fit the answer.
CREATE TABLE review (
    decision_id     varchar(36)       NOT NULL,
    model           varchar(64)       NOT NULL,
    version         integer           NOT NULL,
    subject         varchar(64)       NOT NULL,
    score           double precision  NOT NULL,
    decision        boolean,
    predicted       varchar(128),
    confidence      double precision  NOT NULL,
    fallback_level  varchar(16)       NOT NULL,
    reason          text              NOT NULL,
    state           varchar(16)       NOT NULL DEFAULT 'open',
    claimed_by      varchar(250),
    claim_until     timestamptz,
    answered_by     varchar(250),
    answer          boolean,
    answer_class    varchar(128),
    note            text              NOT NULL DEFAULT '',
    answered_at     timestamptz,
    expires_at      timestamptz       NOT NULL,
    received_at     timestamptz       NOT NULL,
    created_at      timestamptz       NOT NULL DEFAULT now(),

    CONSTRAINT pk_review PRIMARY KEY (decision_id),
    CONSTRAINT fk_review_model FOREIGN KEY (model) REFERENCES model (name),
    CONSTRAINT ck_review_known_state
        CHECK (state IN ('open', 'claimed', 'answered', 'expired')),
    CONSTRAINT ck_review_one_decision CHECK ((decision IS NULL) <> (predicted IS NULL)),
    CONSTRAINT ck_review_answer_of_its_kind CHECK (
        (answer IS NULL OR decision IS NOT NULL)
        AND (answer_class IS NULL OR predicted IS NOT NULL)
    ),
    CONSTRAINT ck_review_answered CHECK (
        (state = 'answered') = (answer IS NOT NULL OR answer_class IS NOT NULL)
    ),
    CONSTRAINT ck_review_by_somebody CHECK (
        (answer IS NULL AND answer_class IS NULL) = (answered_by IS NULL)
    )
);

CREATE INDEX ix_review_due ON review (state, expires_at);


-- What people think of decisions, each piece as it came; of one person, or client, about a decision
-- the newest counts. Refuses an objection without a reason, and a state that does not fit the rest.
CREATE TABLE feedback (
    feedback_id  varchar(36)   NOT NULL,
    model        varchar(64)   NOT NULL,
    decision_id  varchar(36),  -- as named, or found by the request
    request_id   varchar(256),
    caller       varchar(64),  -- whose request it is
    given_by     varchar(300)  NOT NULL,
    person       varchar(64)   NOT NULL DEFAULT '',
    verdict      varchar(16)   NOT NULL,
    reason       text          NOT NULL DEFAULT '',
    answer       jsonb,        -- what was answered instead
    received_at  timestamptz   NOT NULL,
    state        varchar(16)   NOT NULL DEFAULT 'waiting',
    why          text          NOT NULL DEFAULT '',
    tried_at     timestamptz,
    version      integer,
    version_id   bigint,
    subject      varchar(64),
    answered     jsonb,        -- what the decision says
    decided_at   timestamptz,
    erased_at    timestamptz,

    CONSTRAINT pk_feedback PRIMARY KEY (feedback_id),
    CONSTRAINT fk_feedback_model FOREIGN KEY (model) REFERENCES model (name),
    CONSTRAINT ck_feedback_known_verdict CHECK (verdict IN ('accept', 'override', 'wrong')),
    CONSTRAINT ck_feedback_known_state CHECK (state IN ('waiting', 'joined', 'unmatched')),
    CONSTRAINT ck_feedback_names_a_decision
        CHECK (decision_id IS NOT NULL OR request_id IS NOT NULL),
    CONSTRAINT ck_feedback_has_a_reason
        CHECK (verdict = 'accept' OR reason <> '' OR erased_at IS NOT NULL),
    CONSTRAINT ck_feedback_joined CHECK (
        (state = 'joined') = (
            version_id IS NOT NULL AND version IS NOT NULL
            AND subject IS NOT NULL AND decided_at IS NOT NULL
        )
    ),
    CONSTRAINT ck_feedback_joined_by_id CHECK (state <> 'joined' OR decision_id IS NOT NULL)
);

CREATE INDEX ix_feedback_model_state ON feedback (model, state);
CREATE INDEX ix_feedback_subject ON feedback (subject);
CREATE INDEX ix_feedback_version_id ON feedback (version_id);


-- An appeal against a decision. Refuses whoever opened it as the one who decides it.
CREATE TABLE appeal (
    id           bigint        GENERATED ALWAYS AS IDENTITY,
    decision_id  varchar(36)   NOT NULL,
    state        varchar(16)   NOT NULL,
    opened_by    varchar(250)  NOT NULL,
    decided_by   varchar(250),
    outcome      text,
    created_at   timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_appeal PRIMARY KEY (id),
    CONSTRAINT ck_appeal_second_person CHECK (decided_by IS NULL OR decided_by <> opened_by)
);


-- One snapshot that a champion scores in shards.
CREATE TABLE scoring_run (
    id                bigint        GENERATED ALWAYS AS IDENTITY,
    run_key           varchar(64)   NOT NULL,
    model_version_id  bigint        NOT NULL,
    snapshot_id       bigint        NOT NULL,
    generation        integer       NOT NULL,
    rows              bigint        NOT NULL,
    shard_rows        integer       NOT NULL,
    requested_by      varchar(250)  NOT NULL,
    planned_at        timestamptz   NOT NULL,
    finished_at       timestamptz,
    report_digest     varchar(64),

    CONSTRAINT pk_scoring_run PRIMARY KEY (id),
    CONSTRAINT uq_scoring_run_run_key UNIQUE (run_key),
    CONSTRAINT fk_scoring_run_model_version_id
        FOREIGN KEY (model_version_id) REFERENCES model_version (id),
    CONSTRAINT fk_scoring_run_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES snapshot (id)
);


-- A shard that is done. Refuses an empty one.
CREATE TABLE scoring_shard (
    scoring_run_id  bigint            NOT NULL,
    number          integer           NOT NULL,
    rows            bigint            NOT NULL,
    positive        bigint            NOT NULL,
    decisions_key   text              NOT NULL,
    scores_key      text              NOT NULL,
    scores_digest   varchar(64)       NOT NULL,
    seconds         double precision  NOT NULL,
    created_at      timestamptz       NOT NULL DEFAULT now(),

    CONSTRAINT pk_scoring_shard PRIMARY KEY (scoring_run_id, number),
    CONSTRAINT fk_scoring_shard_scoring_run_id
        FOREIGN KEY (scoring_run_id) REFERENCES scoring_run (id),
    CONSTRAINT ck_scoring_shard_not_empty CHECK (rows > 0)
);
