"""Guards: what the database itself refuses, whoever asks."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"

MOVES = (
    ("draft", "trained"),
    ("trained", "validated"),
    ("validated", "approved"),
    ("approved", "canary"),
    ("approved", "champion"),
    ("canary", "champion"),
    ("champion", "superseded"),
    ("superseded", "champion"),
    ("canary", "rolled_back"),
    ("champion", "rolled_back"),
    ("draft", "rejected"),
    ("trained", "rejected"),
    ("validated", "rejected"),
    ("approved", "rejected"),
    ("superseded", "retiring"),
    ("rolled_back", "retiring"),
    ("rejected", "retiring"),
    ("retiring", "archived"),
    ("archived", "deleted"),
)

APPEND_ONLY = (
    "approval",
    "canary_analysis",
    "config_revision",
    "ledger_event",
    "legal_move",
    "monitoring_result",
    "report",
    "snapshot",
    "suite_revision",
    "traffic_plan",
    "training_snapshot",
    "validation",
)

FUNCTIONS = """
CREATE FUNCTION tenure_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'tenure: % is append-only', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;

CREATE FUNCTION tenure_version_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> 'draft' OR NEW.generation <> 0 THEN
    RAISE EXCEPTION 'tenure: a model version begins as draft, generation 0'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION tenure_version_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (OLD.model, OLD.version, OLD.trained_by, OLD.training_key)
     IS DISTINCT FROM (NEW.model, NEW.version, NEW.trained_by, NEW.training_key)
     OR (OLD.artifact_digest IS NOT NULL
         AND OLD.artifact_digest IS DISTINCT FROM NEW.artifact_digest)
     OR (OLD.signature IS NOT NULL AND OLD.signature IS DISTINCT FROM NEW.signature) THEN
    RAISE EXCEPTION 'tenure: identity and artifact of %@% cannot change', OLD.model, OLD.version
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
     OR NOT EXISTS (SELECT 1 FROM legal_move WHERE src = OLD.state AND dst = NEW.state) THEN
    RAISE EXCEPTION 'tenure: %@% may not go from % to %', OLD.model, OLD.version, OLD.state,
      NEW.state USING ERRCODE = 'check_violation';
  END IF;
  PERFORM tenure_guard_move(OLD, NEW);
  RETURN NEW;
END $$;

CREATE FUNCTION tenure_approvers(version bigint, asked text, digest text, trainer text)
RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT count(DISTINCT lower(approver)) FROM approval
  WHERE model_version_id = version AND action = asked AND answer = 'approve'
    AND artifact_digest = digest AND lower(approver) <> lower(trainer) AND expires_at > now()
$$;

CREATE FUNCTION tenure_guard_move(old model_version, new model_version) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE approvers bigint; needed bigint;
BEGIN
  IF new.state IN ('approved', 'canary') OR (old.state = 'approved' AND new.state = 'champion')
  THEN
    approvers := tenure_approvers(new.id, 'serve', new.artifact_digest, new.trained_by);
    SELECT CASE WHEN risk_tier = 'high' THEN 2 ELSE 1 END INTO needed
      FROM model WHERE name = new.model;
    IF old.state = 'approved' AND new.state = 'champion' AND EXISTS (
         SELECT 1 FROM model_version v WHERE v.model = new.model AND v.id <> new.id
           AND v.state IN ('champion', 'superseded', 'retiring', 'archived', 'deleted')) THEN
      needed := 2;
    END IF;
    IF approvers < needed THEN
      RAISE EXCEPTION 'tenure: %@% has % of % valid approvals of its artifact by other people',
        new.model, new.version, approvers, needed USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  IF new.state = 'retiring' AND NOT EXISTS (
       SELECT 1 FROM decommission d WHERE d.model_version_id = new.id
         AND d.second_person IS NOT NULL AND NOT d.legal_hold) THEN
    RAISE EXCEPTION 'tenure: %@% has no decommission confirmed by a second person, or is on hold',
      new.model, new.version USING ERRCODE = 'check_violation';
  END IF;
  IF new.state = 'archived' AND (NOT EXISTS (
       SELECT 1 FROM archive_item i JOIN decommission d ON d.id = i.decommission_id
        WHERE d.model_version_id = new.id)
     OR EXISTS (
       SELECT 1 FROM archive_item i JOIN decommission d ON d.id = i.decommission_id
        WHERE d.model_version_id = new.id AND i.verified_at IS NULL)) THEN
    RAISE EXCEPTION 'tenure: the archive of %@% is not verified', new.model, new.version
      USING ERRCODE = 'check_violation';
  END IF;
  IF new.state = 'deleted' AND NOT EXISTS (
       SELECT 1 FROM decommission d WHERE d.model_version_id = new.id
         AND d.retain_until <= now() AND d.deleted_at IS NOT NULL) THEN
    RAISE EXCEPTION 'tenure: %@% must be retained longer or is not deleted yet', new.model,
      new.version USING ERRCODE = 'check_violation';
  END IF;
END $$;

CREATE FUNCTION tenure_version_has_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE v model_version; events bigint;
BEGIN
  SELECT * INTO v FROM model_version WHERE id = NEW.id;
  SELECT count(*) INTO events FROM ledger_event WHERE subject = 'mv:' || v.id;
  IF events <> v.generation THEN
    RAISE EXCEPTION 'tenure: %@% has generation % and % ledger events', v.model, v.version,
      v.generation, events USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION tenure_plan_is_live() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM (SELECT * FROM traffic_plan WHERE model = NEW.model
                   ORDER BY generation DESC LIMIT 1) p
    JOIN model_version a ON a.id = p.champion_id
    LEFT JOIN model_version b ON b.id = p.canary_id
    WHERE a.state <> 'champion' OR a.model <> p.model
       OR (p.canary_id IS NOT NULL AND (b.state <> 'canary' OR b.model <> p.model))) THEN
    RAISE EXCEPTION 'tenure: the newest traffic plan of % names a version that is not live',
      NEW.model USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION tenure_plan_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE newest traffic_plan;
BEGIN
  SELECT * INTO newest FROM traffic_plan WHERE model = NEW.model
    ORDER BY generation DESC LIMIT 1;
  IF NEW.generation <> COALESCE(newest.generation, 0) + 1
     OR NEW.fence < COALESCE(newest.fence, 0) THEN
    RAISE EXCEPTION 'tenure: plan % fence % of % is stale (newest is % fence %)', NEW.generation,
      NEW.fence, NEW.model, newest.generation, newest.fence USING ERRCODE = 'check_violation';
  END IF;
  PERFORM pg_notify('tenure_plan', NEW.model);
  RETURN NEW;
END $$;

CREATE FUNCTION tenure_ledger_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE head ledger_event;
BEGIN
  PERFORM pg_advisory_xact_lock(7365511);
  SELECT * INTO head FROM ledger_event ORDER BY seq DESC LIMIT 1;
  IF NEW.seq <> COALESCE(head.seq, 0) + 1
     OR NEW.prev_hash <> COALESCE(head.hash, repeat('0', 64)) THEN
    RAISE EXCEPTION 'tenure: ledger event % does not follow %', NEW.seq, COALESCE(head.seq, 0)
      USING ERRCODE = 'check_violation';
  END IF;
  INSERT INTO ledger_head (id, seq, hash) VALUES (1, NEW.seq, NEW.hash)
    ON CONFLICT (id) DO UPDATE SET seq = NEW.seq, hash = NEW.hash, at = now();
  RETURN NEW;
END $$;
"""

TRIGGERS = """
CREATE TRIGGER version_insert BEFORE INSERT ON model_version
  FOR EACH ROW EXECUTE FUNCTION tenure_version_insert();
CREATE TRIGGER version_update BEFORE UPDATE ON model_version
  FOR EACH ROW EXECUTE FUNCTION tenure_version_update();
CREATE TRIGGER version_delete BEFORE DELETE ON model_version
  FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change();
CREATE CONSTRAINT TRIGGER version_has_events AFTER UPDATE ON model_version
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenure_version_has_events();
CREATE CONSTRAINT TRIGGER version_plan_is_live AFTER UPDATE ON model_version
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenure_plan_is_live();
CREATE CONSTRAINT TRIGGER plan_is_live AFTER INSERT ON traffic_plan
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tenure_plan_is_live();
CREATE TRIGGER plan_insert BEFORE INSERT ON traffic_plan
  FOR EACH ROW EXECUTE FUNCTION tenure_plan_insert();
CREATE TRIGGER ledger_insert BEFORE INSERT ON ledger_event
  FOR EACH ROW EXECUTE FUNCTION tenure_ledger_insert();
"""

GATEWAY_ROLE = """
DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'tenure_gateway') THEN
    IF (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) THEN
      CREATE ROLE tenure_gateway LOGIN;
    ELSE
      RETURN;
    END IF;
  END IF;
  GRANT SELECT ON model, model_version, traffic_plan, gateway_key, gateway_ack, config_revision
    TO tenure_gateway;
  GRANT INSERT, UPDATE ON gateway_ack TO tenure_gateway;
  GRANT UPDATE (watermark) ON model TO tenure_gateway;
  GRANT SELECT, INSERT, UPDATE ON incident TO tenure_gateway;
END $$;
"""


def upgrade() -> None:
    """Apply."""
    op.bulk_insert(
        sa.table("legal_move", sa.column("src"), sa.column("dst")),
        [{"src": src, "dst": dst} for src, dst in MOVES],
    )
    op.execute(FUNCTIONS)
    op.execute(TRIGGERS)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION tenure_refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION tenure_refuse_change()"
        )
    op.execute(GATEWAY_ROLE)
