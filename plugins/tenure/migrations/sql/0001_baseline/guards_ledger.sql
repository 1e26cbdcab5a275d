-- The ledger: one chain without a gap. That events stay as they are: guards_append_only.sql.


-- Refuses an event that does not follow the newest one by number and by hash. Writers take turns:
-- the lock, which the code takes as well, lasts until the end of the transaction. Only who may write
-- the head can take it: an advisory lock could be taken, and kept, by any role. Keeps the head.
CREATE FUNCTION tenure_ledger_insert() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    head ledger_event;
BEGIN
    LOCK TABLE ledger_head IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO head FROM ledger_event ORDER BY seq DESC LIMIT 1;
    IF NEW.seq <> COALESCE(head.seq, 0) + 1
        OR NEW.prev_hash <> COALESCE(head.hash, repeat('0', 64))
    THEN
        RAISE EXCEPTION 'tenure: ledger event % does not follow %',
            NEW.seq, COALESCE(head.seq, 0)
            USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO ledger_head (id, seq, hash)
        VALUES (1, NEW.seq, NEW.hash)
        ON CONFLICT (id) DO UPDATE SET seq = NEW.seq, hash = NEW.hash, at = now();
    RETURN NEW;
END
$$;

CREATE TRIGGER ledger_insert BEFORE INSERT ON ledger_event
    FOR EACH ROW EXECUTE FUNCTION tenure_ledger_insert();
