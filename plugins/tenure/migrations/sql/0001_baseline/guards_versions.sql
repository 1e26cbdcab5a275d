-- A model version: how it begins, what of it is fixed, how it moves, and that it never goes.


-- Refuses a version that begins anywhere but as a draft: it would skip every gate before.
CREATE FUNCTION tenure_version_insert() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'draft' OR NEW.generation <> 0 THEN
        RAISE EXCEPTION 'tenure: a model version begins as draft, generation 0'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER version_insert BEFORE INSERT ON model_version
    FOR EACH ROW EXECUTE FUNCTION tenure_version_insert();


-- Refuses another identity, another artifact or signature once there is one, a move that is not in
-- legal_move, a generation that is not counted up by one with each move and only then, and, by
-- tenure_guard_move (guards_moves.sql), a move that lacks what the new state asks for.
CREATE FUNCTION tenure_version_update() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.model, OLD.version, OLD.trained_by, OLD.training_key)
        IS DISTINCT FROM (NEW.model, NEW.version, NEW.trained_by, NEW.training_key)
        OR (OLD.artifact_digest IS NOT NULL
            AND OLD.artifact_digest IS DISTINCT FROM NEW.artifact_digest)
        OR (OLD.signature IS NOT NULL
            AND OLD.signature IS DISTINCT FROM NEW.signature)
    THEN
        RAISE EXCEPTION 'tenure: identity and artifact of %@% cannot change',
            OLD.model, OLD.version
            USING ERRCODE = 'check_violation';
    END IF;

    IF OLD.state = NEW.state THEN
        IF OLD.generation <> NEW.generation THEN
            RAISE EXCEPTION 'tenure: the generation moves only with the state'
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;

    IF NEW.generation <> OLD.generation + 1
        OR NOT EXISTS (
            SELECT 1 FROM legal_move WHERE src = OLD.state AND dst = NEW.state
        )
    THEN
        RAISE EXCEPTION 'tenure: %@% may not go from % to %',
            OLD.model, OLD.version, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;

    PERFORM tenure_guard_move(OLD, NEW);
    RETURN NEW;
END
$$;

CREATE TRIGGER version_update BEFORE UPDATE ON model_version
    FOR EACH ROW EXECUTE FUNCTION tenure_version_update();


-- Refuses to change what the trainer signed, such as the threshold in the facts, and from validated
-- on also the reports that approvers are shown.
CREATE FUNCTION tenure_version_frozen() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'tenure: what was signed or approved of %@% cannot change',
        OLD.model, OLD.version
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER version_frozen BEFORE UPDATE ON model_version
    FOR EACH ROW
    WHEN (
        (OLD.signature IS NOT NULL AND (
            OLD.data_digest, OLD.suite_digest, OLD.code_digest, OLD.config_digest,
            OLD.lock_digest, OLD.mlflow_run_id, OLD.facts
        ) IS DISTINCT FROM (
            NEW.data_digest, NEW.suite_digest, NEW.code_digest, NEW.config_digest,
            NEW.lock_digest, NEW.mlflow_run_id, NEW.facts
        ))
        OR (OLD.state NOT IN ('draft', 'trained') AND (
            OLD.evaluation_report, OLD.bias_report
        ) IS DISTINCT FROM (
            NEW.evaluation_report, NEW.bias_report
        ))
    )
    EXECUTE FUNCTION tenure_version_frozen();


-- Refuses to delete a version: the end of its life is the state deleted.
CREATE TRIGGER version_delete BEFORE DELETE ON model_version
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();


-- Refuses, at commit, a version that moved without an event in the ledger, or the other way round.
CREATE FUNCTION tenure_version_has_events() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v model_version;
    events bigint;
BEGIN
    SELECT * INTO v FROM model_version WHERE id = NEW.id;
    SELECT count(*) INTO events FROM ledger_event WHERE subject = 'mv:' || v.id;
    IF events <> v.generation THEN
        RAISE EXCEPTION 'tenure: %@% has generation % and % ledger events',
            v.model, v.version, v.generation, events
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER version_has_events AFTER UPDATE ON model_version
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION tenure_version_has_events();


-- Refuses a new legal move: one INSERT could otherwise make every gate optional.
CREATE FUNCTION tenure_legal_move_insert() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'tenure: moves are added by a migration'
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER no_insert BEFORE INSERT ON legal_move
    FOR EACH ROW EXECUTE FUNCTION tenure_legal_move_insert();
