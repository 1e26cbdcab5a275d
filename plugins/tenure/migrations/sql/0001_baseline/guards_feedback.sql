-- Feedback: what was given stays as it was given, and stays with the decision that it was found to
-- be about. Only reason and answer may go, when the person whom it is about is erased.


-- Refuses a change of what was given, of a join, and any removal.
CREATE FUNCTION tenure_feedback_stays() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (NEW.feedback_id, NEW.model, NEW.request_id, NEW.caller, NEW.given_by, NEW.person,
            NEW.verdict, NEW.received_at)
           IS NOT DISTINCT FROM
           (OLD.feedback_id, OLD.model, OLD.request_id, OLD.caller, OLD.given_by, OLD.person,
            OLD.verdict, OLD.received_at)
           AND (OLD.decision_id IS NULL OR NEW.decision_id IS NOT DISTINCT FROM OLD.decision_id)
           AND (OLD.state <> 'joined'
                OR (NEW.state, NEW.version, NEW.version_id, NEW.subject, NEW.answered,
                    NEW.decided_at)
                   IS NOT DISTINCT FROM
                   (OLD.state, OLD.version, OLD.version_id, OLD.subject, OLD.answered,
                    OLD.decided_at))
           AND ((NEW.reason, NEW.answer, NEW.erased_at)
                IS NOT DISTINCT FROM (OLD.reason, OLD.answer, OLD.erased_at)
                OR (NEW.reason = '' AND NEW.answer IS NULL AND NEW.erased_at IS NOT NULL))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'feedback % stays as it was given', OLD.feedback_id
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON feedback
    FOR EACH ROW EXECUTE FUNCTION tenure_feedback_stays();
CREATE TRIGGER stays_whole BEFORE TRUNCATE ON feedback
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();
