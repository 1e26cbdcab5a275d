-- Reviews: what a person answered, or nobody in time, stays.


-- Refuses to change or delete a review that is closed; the trigger's condition says which are.
CREATE FUNCTION tenure_review_is_closed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'review % is % and stays so', OLD.decision_id, OLD.state
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER closed BEFORE UPDATE OR DELETE ON review
    FOR EACH ROW
    WHEN (OLD.state IN ('answered', 'expired'))
    EXECUTE FUNCTION tenure_review_is_closed();
