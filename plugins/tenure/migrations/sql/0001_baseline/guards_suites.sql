-- Suites and quarantine: whoever proposes a change or a release is not the one who accepts it.


-- Refuses that a proposal is accepted by who made it, in whatever case the name is written.
CREATE FUNCTION tenure_suite_answer_insert() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.answer = 'accept' AND EXISTS (
        SELECT 1
        FROM suite_proposal p
        WHERE p.id = NEW.proposal_id AND lower(p.proposed_by) = lower(NEW.answered_by)
    ) THEN
        RAISE EXCEPTION 'tenure: % proposed change % of a suite and cannot accept it',
            NEW.answered_by, NEW.proposal_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER suite_answer_insert BEFORE INSERT ON suite_answer
    FOR EACH ROW EXECUTE FUNCTION tenure_suite_answer_insert();


-- Refuses that a release is accepted by who proposed it, in whatever case the name is written, and
-- an answer to what is no proposal.
CREATE FUNCTION tenure_quarantine_answer_insert() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1
        FROM quarantine_decision d
        WHERE d.id = NEW.decision_id AND d.act = 'release'
          AND (NEW.answer <> 'accept' OR lower(d.decided_by) <> lower(NEW.answered_by))
    ) THEN
        RAISE EXCEPTION 'tenure: % cannot % decision % about quarantined rows',
            NEW.answered_by, NEW.answer, NEW.decision_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER quarantine_answer_insert BEFORE INSERT ON quarantine_answer
    FOR EACH ROW EXECUTE FUNCTION tenure_quarantine_answer_insert();
