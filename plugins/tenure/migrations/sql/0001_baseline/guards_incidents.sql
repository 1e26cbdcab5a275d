-- Incidents: who may only report what it found does not touch what others found.


-- Refuses a change of an incident that another role opened, by whoever may not change every column:
-- a gateway. It could close, or empty, what monitoring or maintenance say of the version it serves.
-- And nobody opens a closed one again. What people are told about is marked as untold.
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
    IF OLD.state = 'closed' AND NEW.state <> 'closed' THEN
        RAISE EXCEPTION 'tenure: incident % is closed; what is found again opens another', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> OLD.state OR NEW.escalation IS DISTINCT FROM OLD.escalation THEN
        NEW.untold := true;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER incident_update BEFORE UPDATE ON incident
    FOR EACH ROW EXECUTE FUNCTION tenure_incident_update();


-- Writes the timeline, whoever changes an incident. It runs with the rights of its owner: a gateway
-- opens and closes incidents, but may not write into the timeline itself.
CREATE FUNCTION tenure_incident_timeline() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO incident_event (incident_id, kind, actor, note, at)
        VALUES (NEW.id, 'opened', NEW.opened_by, NEW.summary, NEW.created_at);
        RETURN NULL;
    END IF;
    IF NEW.escalation IS NOT NULL AND NEW.escalation IS DISTINCT FROM OLD.escalation THEN
        INSERT INTO incident_event (incident_id, kind, note)
        VALUES (NEW.id, 'escalated', NEW.escalation);
    END IF;
    IF NEW.acknowledged_at IS NOT NULL
        AND (NEW.acknowledged_at, NEW.owner) IS DISTINCT FROM (OLD.acknowledged_at, OLD.owner)
    THEN
        INSERT INTO incident_event (incident_id, kind, actor, at)
        VALUES (NEW.id, 'acknowledged', NEW.owner, NEW.acknowledged_at);
    END IF;
    IF NEW.snoozed_until IS NOT NULL AND NEW.snoozed_until IS DISTINCT FROM OLD.snoozed_until THEN
        INSERT INTO incident_event (incident_id, kind, actor, note)
        VALUES (NEW.id, 'snoozed', NEW.owner,
                'until ' || to_char(NEW.snoozed_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
                || ' UTC');
    END IF;
    IF NEW.state = 'restored' AND OLD.state <> 'restored' THEN
        INSERT INTO incident_event (incident_id, kind, actor, note, at)
        VALUES (NEW.id, 'restored', NEW.closed_by, coalesce(NEW.closed_reason, ''), NEW.restored_at);
    END IF;
    IF NEW.state = 'closed' AND OLD.state <> 'closed' THEN
        INSERT INTO incident_event (incident_id, kind, actor, note, at)
        VALUES (NEW.id, 'closed', NEW.closed_by, coalesce(NEW.closed_reason, ''), NEW.closed_at);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER incident_timeline AFTER INSERT OR UPDATE ON incident
    FOR EACH ROW EXECUTE FUNCTION tenure_incident_timeline();


-- Notes in the timeline who joined an incident.
CREATE FUNCTION tenure_incident_joined() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO incident_event (incident_id, kind, note, at)
    VALUES (NEW.incident_id, 'joined', NEW.name, NEW.first_at);
    RETURN NULL;
END
$$;

CREATE TRIGGER incident_joined AFTER INSERT ON incident_member
    FOR EACH ROW EXECUTE FUNCTION tenure_incident_joined();


-- Refuses to change what was written about a remediation: it is done, or another one is written.
CREATE FUNCTION tenure_remediation_update() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.done_at IS NOT NULL
        OR (NEW.incident_id, NEW.action, NEW.owner, NEW.due, NEW.written_by, NEW.written_at)
            IS DISTINCT FROM
            (OLD.incident_id, OLD.action, OLD.owner, OLD.due, OLD.written_by, OLD.written_at)
    THEN
        RAISE EXCEPTION 'tenure: remediation % is written; it can only be done, once', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER remediation_update BEFORE UPDATE ON remediation
    FOR EACH ROW EXECUTE FUNCTION tenure_remediation_update();


-- Notes a remediation in the timeline, and on the incident what of it is left.
CREATE FUNCTION tenure_remediation_noted() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO incident_event (incident_id, kind, actor, note, at)
        VALUES (NEW.incident_id, 'remediation', NEW.written_by,
                NEW.action || ' (' || NEW.owner || ', due ' || NEW.due || ')', NEW.written_at);
    ELSE
        INSERT INTO incident_event (incident_id, kind, actor, note, at)
        VALUES (NEW.incident_id, 'remediated', NEW.done_by, NEW.done_note, NEW.done_at);
    END IF;
    UPDATE incident
    SET remediation_due = (SELECT min(due) FROM remediation
                           WHERE incident_id = NEW.incident_id AND done_at IS NULL),
        remediated_at = CASE WHEN NOT EXISTS (SELECT FROM remediation
                                              WHERE incident_id = NEW.incident_id
                                                  AND done_at IS NULL)
                        THEN NEW.done_at END
    WHERE id = NEW.incident_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER remediation_noted AFTER INSERT OR UPDATE ON remediation
    FOR EACH ROW EXECUTE FUNCTION tenure_remediation_noted();
