-- Records of the decision log: the database says when, and late ones are refused.


-- Dates the record by the beginning of its transaction, whatever its writer says.
CREATE FUNCTION tenure_segment_insert() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.recorded_at := now();
    RETURN NEW;
END
$$;

CREATE TRIGGER segment_insert BEFORE INSERT ON log_segment
    FOR EACH ROW EXECUTE FUNCTION tenure_segment_insert();


-- Refuses, at commit, a record whose transaction took longer than five minutes: what is older than
-- ten is sealed in the ledger, and no record may come after that. Its writer does it again.
CREATE FUNCTION tenure_segment_in_time() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF clock_timestamp() > NEW.recorded_at + interval '5 minutes' THEN
        RAISE EXCEPTION 'tenure: the record of % comes too late', NEW.key
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER segment_in_time AFTER INSERT ON log_segment
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION tenure_segment_in_time();
