-- The role of the gateways: everything that it may do is listed here; whoever takes a gateway over
-- can neither approve a version, nor move one, nor change the traffic. Nor can they hold the ledger
-- or a plan up: what writers take turns by (ledger_head, traffic_plan) is a lock that this role may
-- not take.
--
-- Run at the end of each migration, also when there is nothing to migrate: a role that was made
-- later, or got more or less by hand, has this afterwards.


-- Whoever migrates may lack the right to create roles. Then the role is expected to stand already;
-- where it does not, nothing is granted: make it, and migrate again.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'tenure_gateway') THEN
        IF (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) THEN
            CREATE ROLE tenure_gateway LOGIN;
        ELSE
            RETURN;
        END IF;
    END IF;

    REVOKE ALL ON ALL TABLES IN SCHEMA public FROM tenure_gateway;

    -- Reads what it serves, and by which keys it is asked.
    GRANT SELECT ON model, model_version, traffic_plan, config_revision, gateway_key
        TO tenure_gateway;
    -- Notes when a key was used last.
    GRANT UPDATE (last_used_at) ON gateway_key TO tenure_gateway;
    -- Says which plan it took up, and that it is there.
    GRANT SELECT, INSERT, UPDATE ON gateway_ack TO tenure_gateway;
    -- Sees whether maintenance is silent; it cannot say that it is not.
    GRANT SELECT ON heartbeat TO tenure_gateway;
    -- Answers trials.
    GRANT SELECT ON trial TO tenure_gateway;
    GRANT SELECT, INSERT ON trial_answer TO tenure_gateway;
    -- Says up to when outcomes are complete, of models that are served (guards_watermark.sql).
    GRANT EXECUTE ON FUNCTION tenure_advance_watermark(text, timestamptz) TO tenure_gateway;
    -- Makes subjects' keys; it cannot destroy one.
    GRANT SELECT, INSERT ON subject_key TO tenure_gateway;
    -- Records what it ships: the database says when, and nothing is read back.
    GRANT INSERT (key, model, digest, rows, replaces, writer) ON log_segment TO tenure_gateway;
    -- Queues decisions for a person; it cannot answer for one.
    GRANT SELECT, INSERT ON review TO tenure_gateway;
    -- Keeps what people think of decisions; it reads none of it back, and says of none which
    -- decision it is about.
    GRANT INSERT (feedback_id, model, decision_id, request_id, caller, given_by, person, verdict,
                  reason, answer, received_at)
        ON feedback TO tenure_gateway;
    -- Opens incidents, counts repetitions, closes those that are over: of its own only
    -- (guards_incidents.sql). What an incident is about does not change; who acknowledged it, its
    -- members and its timeline are none of their business.
    GRANT SELECT ON incident TO tenure_gateway;
    GRANT INSERT (dedupe_key, kind, subject, severity, summary, facts, created_at, last_seen_at)
        ON incident TO tenure_gateway;
    GRANT UPDATE (severity, summary, state, seen, facts, last_seen_at, escalation, restored_at,
                  closed_at, closed_by, closed_reason)
        ON incident TO tenure_gateway;
END
$$;
