-- Approvals: one person has one answer, which may be renewed, and no plan outlasts them.


-- Refuses a second answer of one person, in whatever case the name is written, unless it renews: the
-- same yes to the same artifact and the same evidence, with a later end.
CREATE FUNCTION tenure_approval_insert() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1
        FROM approval a
        WHERE a.model_version_id = NEW.model_version_id
            AND a.action = NEW.action
            AND lower(a.approver) = lower(NEW.approver)
            AND (
                a.answer <> 'approve'
                OR NEW.answer <> 'approve'
                OR a.artifact_digest <> NEW.artifact_digest
                OR a.evidence_digest <> NEW.evidence_digest
                OR a.expires_at >= NEW.expires_at
            )
    ) THEN
        RAISE EXCEPTION 'tenure: % answered for version % already; that is no renewal',
            NEW.approver, NEW.model_version_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER approval_insert BEFORE INSERT ON approval
    FOR EACH ROW EXECUTE FUNCTION tenure_approval_insert();


-- Until when enough people approved a version: each counts until the latest end that they gave. Fewer
-- than the risk tier needs, because it was raised since, count until the first end that they gave.
-- Null when nobody did.
CREATE FUNCTION tenure_authorized_until(version_id bigint) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    WITH given AS (
        SELECT min(a.expires_at) AS first, max(a.expires_at) AS latest
        FROM approval a
        JOIN model_version v ON v.id = a.model_version_id
        WHERE v.id = version_id
            AND a.action = 'serve'
            AND a.answer = 'approve'
            AND a.artifact_digest = v.artifact_digest
            AND lower(a.approver) <> lower(v.trained_by)
        GROUP BY lower(a.approver)
    ),
    quorum AS (
        SELECT CASE WHEN m.risk_tier = 'high' THEN 2 ELSE 1 END AS needed
        FROM model_version v
        JOIN model m ON m.name = v.model
        WHERE v.id = version_id
    )
    SELECT CASE
        WHEN (SELECT count(*) FROM given) < needed THEN (SELECT min(first) FROM given)
        ELSE (SELECT latest FROM given ORDER BY latest DESC OFFSET needed - 1 LIMIT 1)
    END
    FROM quorum
$$;


-- Refuses a plan that authorizes a version for longer than its approvals last. Where they have ended,
-- or there are none, the plan says that the authorization has ended.
CREATE FUNCTION tenure_plan_authorized() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.champion_until > GREATEST(tenure_authorized_until(NEW.champion_id), NEW.created_at)
        OR NEW.canary_until > GREATEST(tenure_authorized_until(NEW.canary_id), NEW.created_at)
    THEN
        RAISE EXCEPTION 'tenure: plan % of % authorizes a version beyond its approvals',
            NEW.generation, NEW.model
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER plan_authorized BEFORE INSERT ON traffic_plan
    FOR EACH ROW EXECUTE FUNCTION tenure_plan_authorized();
