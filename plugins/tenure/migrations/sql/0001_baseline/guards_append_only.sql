-- Evidence is appended and never changed, by nobody: not by an UPDATE, a DELETE or a TRUNCATE.


-- Refuses whatever fires it.
CREATE FUNCTION tenure_refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'tenure: % is append-only', TG_TABLE_NAME
        USING ERRCODE = 'check_violation';
END
$$;


-- What approvers answered: an approval that could be edited would be nobody's.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON approval
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON approval
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- Every look at a canary, also those that nobody liked.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON canary_analysis
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON canary_analysis
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- The config that a digest stands for.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON config_revision
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON config_revision
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- What people wrote about datasets.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON dataset_note
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON dataset_note
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- Who wanted to be named in alerts, and since when.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON dataset_subscription
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON dataset_subscription
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- What happened to an incident, and who did what about it.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON incident_event
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON incident_event
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- The ledger.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_event
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ledger_event
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- The legal moves; guards_versions.sql refuses new ones as well.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON legal_move
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON legal_move
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- What was shipped.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON log_segment
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON log_segment
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- What monitoring found.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON monitoring_result
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON monitoring_result
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- What was answered to a proposed release.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON quarantine_answer
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON quarantine_answer
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- What stewards decided about quarantined rows, and why.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON quarantine_decision
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON quarantine_decision
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- Reports of every stage.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON report
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON report
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- What a snapshot's digest stands for.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON snapshot
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON snapshot
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- Who read personal and restricted data.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON snapshot_read
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON snapshot_read
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- What was answered to a proposed suite.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON suite_answer
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON suite_answer
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- What stewards proposed, and why.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON suite_proposal
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON suite_proposal
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- The suite that a digest stands for.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON suite_revision
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON suite_revision
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- Which version answered which share of the traffic, and since when.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON traffic_plan
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON traffic_plan
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- What a version was trained on.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON training_snapshot
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON training_snapshot
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();

-- How every batch was judged.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON validation
    FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON validation
    FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change();
