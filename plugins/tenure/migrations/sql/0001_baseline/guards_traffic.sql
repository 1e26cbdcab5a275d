-- Traffic: plans follow each other, name live versions only, and reach the gateways at once.


-- Refuses a plan that does not follow the newest one, or whose writer holds a lower fence: a writer
-- that was stopped and comes back would undo what happened meanwhile. Wakes the gateways.
CREATE FUNCTION tenure_plan_insert() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    newest traffic_plan;
BEGIN
    SELECT *
        INTO newest
        FROM traffic_plan
        WHERE model = NEW.model
        ORDER BY generation DESC
        LIMIT 1;
    IF NEW.generation <> COALESCE(newest.generation, 0) + 1
        OR NEW.fence < COALESCE(newest.fence, 0)
    THEN
        RAISE EXCEPTION 'tenure: plan % fence % of % is stale (newest is % fence %)',
            NEW.generation, NEW.fence, NEW.model, newest.generation, newest.fence
            USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_notify('tenure_plan', NEW.model);
    RETURN NEW;
END
$$;

CREATE TRIGGER plan_insert BEFORE INSERT ON traffic_plan
    FOR EACH ROW EXECUTE FUNCTION tenure_plan_insert();


-- Refuses, at commit, a newest plan whose champion is not champion, whose canary is not canary, or
-- that names a version of another model. Fired by both sides: by a plan, and by a version that moves.
CREATE FUNCTION tenure_plan_is_live() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1
        FROM (
            SELECT *
            FROM traffic_plan
            WHERE model = NEW.model
            ORDER BY generation DESC
            LIMIT 1
        ) p
        JOIN model_version a ON a.id = p.champion_id
        LEFT JOIN model_version b ON b.id = p.canary_id
        WHERE a.state <> 'champion'
            OR a.model <> p.model
            OR (p.canary_id IS NOT NULL AND (b.state <> 'canary' OR b.model <> p.model))
    ) THEN
        RAISE EXCEPTION
            'tenure: the newest traffic plan of % names a version that is not live',
            NEW.model
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER plan_is_live AFTER INSERT ON traffic_plan
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION tenure_plan_is_live();

CREATE CONSTRAINT TRIGGER version_plan_is_live AFTER UPDATE ON model_version
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION tenure_plan_is_live();


-- Refuses nothing: wakes the gateways, which answer a trial before traffic moves.
CREATE FUNCTION tenure_trial_asked() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tenure_plan', 'trial');
    RETURN NEW;
END
$$;

CREATE TRIGGER asked AFTER INSERT ON trial
    FOR EACH ROW EXECUTE FUNCTION tenure_trial_asked();
