-- Serving: who answers which share of the traffic, and what gateways say of themselves.


-- How a model's traffic is shared out; the newest generation is in force. A writer with a lower
-- fence than the newest plan is stale. Refuses a canary without a share, a lease and the end of its
-- authorization, or any of them without a canary.
CREATE TABLE traffic_plan (
    id             bigint        GENERATED ALWAYS AS IDENTITY,
    model          varchar(64)   NOT NULL,
    generation     integer       NOT NULL,
    fence          integer       NOT NULL,
    champion_id    bigint        NOT NULL,
    canary_id      bigint,
    share_bp       integer       NOT NULL,  -- of the canary, in basis points
    salt           varchar(64)   NOT NULL,
    lease_seconds  integer,
    lease_until    timestamptz,
    champion_until timestamptz   NOT NULL,  -- end of the champion's authorization
    canary_until   timestamptz,             -- end of the canary's
    reason         text          NOT NULL,
    actor          varchar(250)  NOT NULL,
    created_at     timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_traffic_plan PRIMARY KEY (id),
    CONSTRAINT uq_traffic_plan_model_generation UNIQUE (model, generation),
    CONSTRAINT fk_traffic_plan_model FOREIGN KEY (model) REFERENCES model (name),
    CONSTRAINT fk_traffic_plan_champion_id
        FOREIGN KEY (champion_id) REFERENCES model_version (id),
    CONSTRAINT fk_traffic_plan_canary_id
        FOREIGN KEY (canary_id) REFERENCES model_version (id),
    CONSTRAINT ck_traffic_plan_share CHECK (share_bp BETWEEN 0 AND 10000),
    CONSTRAINT ck_traffic_plan_canary_has_lease CHECK (
        (canary_id IS NULL) = (share_bp = 0)
        AND (canary_id IS NULL) = (lease_until IS NULL)
        AND (canary_id IS NULL) = (lease_seconds IS NULL)
    ),
    CONSTRAINT ck_traffic_plan_canary_has_end
        CHECK ((canary_id IS NULL) = (canary_until IS NULL)),
    CONSTRAINT ck_traffic_plan_two_arms
        CHECK (canary_id IS NULL OR canary_id <> champion_id)
);


-- One look at a canary: the verdict, and what was done.
CREATE TABLE canary_analysis (
    id                bigint       GENERATED ALWAYS AS IDENTITY,
    model_version_id  bigint       NOT NULL,
    number            integer      NOT NULL,
    generation        integer      NOT NULL,
    share_bp          integer      NOT NULL,
    verdict           varchar(16)  NOT NULL,
    action            varchar(16)  NOT NULL,
    facts             jsonb        NOT NULL DEFAULT '{}',
    created_at        timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT pk_canary_analysis PRIMARY KEY (id),
    CONSTRAINT uq_canary_analysis_model_version_id_number UNIQUE (model_version_id, number),
    CONSTRAINT fk_canary_analysis_model_version_id
        FOREIGN KEY (model_version_id) REFERENCES model_version (id)
);


-- By which generation of a model's plan a gateway serves.
CREATE TABLE gateway_ack (
    gateway_id  varchar(64)  NOT NULL,
    model       varchar(64)  NOT NULL,
    generation  integer      NOT NULL,
    seen_at     timestamptz  NOT NULL,                -- by the gateway's clock: took up the plan
    alive_at    timestamptz  NOT NULL DEFAULT now(),  -- by the database's clock: last heard of

    CONSTRAINT pk_gateway_ack PRIMARY KEY (gateway_id, model)
);


-- The last sign of life of what runs by itself, by the database's clock: who watches reads it.
CREATE TABLE heartbeat (
    name            varchar(64)       NOT NULL,
    period_seconds  double precision  NOT NULL,  -- silent after more than two of them
    seen_at         timestamptz       NOT NULL DEFAULT now(),

    CONSTRAINT pk_heartbeat PRIMARY KEY (name),
    CONSTRAINT ck_heartbeat_positive_period CHECK (period_seconds > 0)
);


-- The digest of a client's key, and what the key may do. Without models it is good for all.
CREATE TABLE gateway_key (
    key_digest       varchar(64)  NOT NULL,
    name             varchar(64)  NOT NULL,
    scopes           jsonb        NOT NULL,
    revoked_at       timestamptz,
    created_at       timestamptz  NOT NULL DEFAULT now(),
    models           jsonb,
    rows_per_second  integer,
    last_used_at     timestamptz,

    CONSTRAINT pk_gateway_key PRIMARY KEY (key_digest),
    CONSTRAINT ck_gateway_key_positive_rate CHECK (rows_per_second > 0)
);


-- Gateways are asked to load a version before any traffic moves to it.
CREATE TABLE trial (
    id                bigint        GENERATED ALWAYS AS IDENTITY,
    model_version_id  bigint        NOT NULL,
    asked_by          varchar(250)  NOT NULL,
    asked_at          timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_trial PRIMARY KEY (id),
    CONSTRAINT fk_trial_model_version_id
        FOREIGN KEY (model_version_id) REFERENCES model_version (id)
);


-- What each gateway answered.
CREATE TABLE trial_answer (
    trial_id     bigint       NOT NULL,
    gateway_id   varchar(64)  NOT NULL,
    verdict      varchar(16)  NOT NULL,
    cause        text         NOT NULL DEFAULT '',
    answered_at  timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT pk_trial_answer PRIMARY KEY (trial_id, gateway_id),
    CONSTRAINT fk_trial_answer_trial_id
        FOREIGN KEY (trial_id) REFERENCES trial (id) ON DELETE CASCADE,
    CONSTRAINT ck_trial_answer_known CHECK (verdict IN ('ok', 'refused'))
);
