-- Retirement: who must be told, what is archived, what was deleted.


-- Who uses a model's decisions, and where they are told that it goes.
CREATE TABLE consumer (
    model       varchar(64)  NOT NULL,
    name        varchar(64)  NOT NULL,
    webhook     text,
    created_at  timestamptz  NOT NULL DEFAULT now(),

    CONSTRAINT pk_consumer PRIMARY KEY (model, name),
    CONSTRAINT fk_consumer_model FOREIGN KEY (model) REFERENCES model (name)
);


-- The end of a version, step by step. Refuses the same person twice, in whatever case the name is
-- written, and a deletion of what was not verified in the archive.
CREATE TABLE decommission (
    id                bigint        GENERATED ALWAYS AS IDENTITY,
    model_version_id  bigint        NOT NULL,
    step              varchar(16)   NOT NULL,
    reason            text          NOT NULL,
    successor         text          NOT NULL DEFAULT '',
    requested_by      varchar(250)  NOT NULL,
    second_person     varchar(250),
    legal_hold        boolean       NOT NULL DEFAULT false,
    archive_key       text,
    archive_digest    varchar(64),
    retain_until      timestamptz,
    notified_at       timestamptz,
    revoked_at        timestamptz,
    verified_at       timestamptz,
    deleted_at        timestamptz,
    record_digest     varchar(64),
    created_at        timestamptz   NOT NULL DEFAULT now(),

    CONSTRAINT pk_decommission PRIMARY KEY (id),
    CONSTRAINT uq_decommission_model_version_id UNIQUE (model_version_id),
    CONSTRAINT fk_decommission_model_version_id
        FOREIGN KEY (model_version_id) REFERENCES model_version (id),
    CONSTRAINT ck_decommission_two_people
        CHECK (second_person IS NULL OR lower(second_person) <> lower(requested_by)),
    CONSTRAINT ck_decommission_verify_first
        CHECK (deleted_at IS NULL OR verified_at IS NOT NULL)
);


-- One object of an archive. Refuses to delete it before the copy was read back and compared.
CREATE TABLE archive_item (
    decommission_id  bigint       NOT NULL,
    key              text         NOT NULL,
    archive_key      text         NOT NULL,
    size             bigint       NOT NULL,
    sha256           varchar(64)  NOT NULL,
    delete_after     boolean      NOT NULL DEFAULT false,
    copied_at        timestamptz,
    verified_at      timestamptz,
    deleted_at       timestamptz,

    CONSTRAINT pk_archive_item PRIMARY KEY (decommission_id, key),
    CONSTRAINT fk_archive_item_decommission_id
        FOREIGN KEY (decommission_id) REFERENCES decommission (id),
    CONSTRAINT ck_archive_item_verify_first
        CHECK (deleted_at IS NULL OR verified_at IS NOT NULL)
);
