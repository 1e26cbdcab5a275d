-- What a model version must have before it enters a state.


-- How many people validly approved a version: each name once, in whatever case; not the trainer;
-- of this very artifact; not expired.
CREATE FUNCTION tenure_approvers(version bigint, asked text, digest text, trainer text)
RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT count(DISTINCT lower(approver))
    FROM approval
    WHERE model_version_id = version
        AND action = asked
        AND answer = 'approve'
        AND artifact_digest = digest
        AND lower(approver) <> lower(trainer)
        AND expires_at > now()
$$;


-- Refuses, of a move that is legal in itself:
--   to approved, to canary, and from approved to champion: fewer valid approvals than needed. One
--     is needed, at risk tier high two; straight to champion two, unless no other version of the
--     model ever was champion;
--   to retiring: no decommission that a second person confirmed, or a legal hold;
--   to archived: an empty archive, or an object in it that was not verified;
--   to deleted: before the retention ends, or before the objects are deleted.
CREATE FUNCTION tenure_guard_move(old model_version, new model_version) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    approvers bigint;
    needed bigint;
BEGIN
    IF new.state IN ('approved', 'canary')
        OR (old.state = 'approved' AND new.state = 'champion')
    THEN
        approvers := tenure_approvers(new.id, 'serve', new.artifact_digest, new.trained_by);
        SELECT CASE WHEN risk_tier = 'high' THEN 2 ELSE 1 END
            INTO needed
            FROM model
            WHERE name = new.model;
        IF old.state = 'approved' AND new.state = 'champion' AND EXISTS (
            SELECT 1
            FROM model_version v
            WHERE v.model = new.model
                AND v.id <> new.id
                AND v.state IN ('champion', 'superseded', 'retiring', 'archived', 'deleted')
        ) THEN
            needed := 2;
        END IF;
        IF approvers < needed THEN
            RAISE EXCEPTION
                'tenure: %@% has % of % valid approvals of its artifact by other people',
                new.model, new.version, approvers, needed
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;

    IF new.state = 'retiring' AND NOT EXISTS (
        SELECT 1
        FROM decommission d
        WHERE d.model_version_id = new.id
            AND d.second_person IS NOT NULL
            AND NOT d.legal_hold
    ) THEN
        RAISE EXCEPTION
            'tenure: %@% has no decommission confirmed by a second person, or is on hold',
            new.model, new.version
            USING ERRCODE = 'check_violation';
    END IF;

    IF new.state = 'archived' AND (
        NOT EXISTS (
            SELECT 1
            FROM archive_item i
            JOIN decommission d ON d.id = i.decommission_id
            WHERE d.model_version_id = new.id
        )
        OR EXISTS (
            SELECT 1
            FROM archive_item i
            JOIN decommission d ON d.id = i.decommission_id
            WHERE d.model_version_id = new.id
                AND i.verified_at IS NULL
        )
    ) THEN
        RAISE EXCEPTION
            'tenure: the archive of %@% is not verified',
            new.model, new.version
            USING ERRCODE = 'check_violation';
    END IF;

    IF new.state = 'deleted' AND NOT EXISTS (
        SELECT 1
        FROM decommission d
        WHERE d.model_version_id = new.id
            AND d.retain_until <= now()
            AND d.deleted_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION
            'tenure: %@% must be retained longer or is not deleted yet',
            new.model, new.version
            USING ERRCODE = 'check_violation';
    END IF;
END
$$;
