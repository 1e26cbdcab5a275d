-- Incidents: who may only report what it found does not touch what others found.


-- Refuses a change of an incident that another role opened, by whoever may not change every column:
-- a gateway. It could close, or empty, what monitoring or maintenance say of the version it serves.
CREATE FUNCTION tenure_incident_update() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.opened_by <> current_user
        AND NOT has_column_privilege(current_user, TG_RELID, 'opened_by', 'UPDATE')
    THEN
        RAISE EXCEPTION 'tenure: incident % was opened by %, not by %',
            OLD.id, OLD.opened_by, current_user
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER incident_update BEFORE UPDATE ON incident
    FOR EACH ROW EXECUTE FUNCTION tenure_incident_update();
