"""Tables of the lifecycle database; the guards stand in SQL beside the migrations."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from tenure.vocabulary import State

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def _at(name: str = "created_at") -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _json(name: str) -> Column[object]:
    return Column(name, JSONB, nullable=False, server_default=text("'{}'::jsonb"))


def _moment(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True))


def _run() -> list[Column[object]]:
    """The Airflow task that wrote the row."""
    return [
        Column("dag_id", String(250)),
        Column("run_id", String(250)),
        Column("task_id", String(250)),
        Column("map_index", Integer, nullable=False, server_default="-1"),
    ]


config_revision = Table(
    "config_revision",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    Column("body", Text, nullable=False),
    _at(),
)

suite_revision = Table(
    "suite_revision",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("body", Text, nullable=False),
    _at(),
)

suite_proposal = Table(
    "suite_proposal",
    metadata,
    _id(),
    Column("suite", String(64), nullable=False, index=True),
    Column("file_digest", String(64), nullable=False),
    Column("before_digest", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("changes", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_by", String(250), nullable=False),
    _at(),
    CheckConstraint("digest <> before_digest", name="changes"),
    CheckConstraint("reason <> ''", name="reason"),
)

suite_answer = Table(
    "suite_answer",
    metadata,
    _id(),
    Column("proposal_id", BigInteger, ForeignKey("suite_proposal.id"), nullable=False, unique=True),
    Column("answer", String(16), nullable=False),
    Column("answered_by", String(250), nullable=False),
    Column("reason", Text, nullable=False),
    _at(),
    CheckConstraint("answer IN ('accept', 'decline')", name="known"),
)

model = Table(
    "model",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("owner", String(250), nullable=False),
    Column("risk_tier", String(16), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("watermark", DateTime(timezone=True)),
    _at(),
)

dataset = Table(
    "dataset",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("owner", String(250), nullable=False),
    Column("steward", String(250), nullable=False),
    Column("sensitivity", String(16), nullable=False),
    _at(),
)

snapshot = Table(
    "snapshot",
    metadata,
    _id(),
    Column("dataset", String(64), ForeignKey("dataset.name"), nullable=False),
    Column("batch", String(250), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("manifest_digest", String(64), nullable=False),
    Column("suite_digest", String(64), nullable=False),
    Column("time_min", DateTime(timezone=True)),
    Column("time_max", DateTime(timezone=True)),
    _at(),
    UniqueConstraint("dataset", "digest"),
)

validation = Table(
    "validation",
    metadata,
    _id(),
    Column("dataset", String(64), ForeignKey("dataset.name"), nullable=False),
    Column("batch", String(250), nullable=False),
    Column("source_key", Text, nullable=False),
    Column("source_digest", String(64), nullable=False),
    Column("suite_digest", String(64), nullable=False),
    Column("config_digest", String(64), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("rows_in", BigInteger, nullable=False),
    Column("rows_ok", BigInteger, nullable=False),
    Column("rows_quarantined", BigInteger, nullable=False),
    Column("quarantine_key", Text),
    Column("snapshot_id", BigInteger, ForeignKey("snapshot.id")),
    Column("report_digest", String(64), nullable=False),
    _at(),
    Column("shape", JSONB(none_as_null=True)),
    CheckConstraint("rows_in = rows_ok + rows_quarantined", name="rows_conserved"),
    CheckConstraint("(verdict = 'passed') = (snapshot_id IS NOT NULL)", name="published"),
    Index(None, "dataset", "source_key", "id"),
    Index(None, "dataset", "batch", "id"),
)

snapshot_read = Table(
    "snapshot_read",
    metadata,
    _id(),
    Column("dataset", String(64), nullable=False),
    Column("digest", String(64)),
    Column("quarantine_key", Text),
    Column("purpose", String(32), nullable=False),
    Column("model", String(64)),
    Column("reader", String(250), nullable=False),
    *_run(),
    _at(),
    ForeignKeyConstraint(["dataset", "digest"], ["snapshot.dataset", "snapshot.digest"]),
    CheckConstraint("reader <> ''", name="somebody"),
    CheckConstraint("(digest IS NULL) <> (quarantine_key IS NULL)", name="something"),
    Index(None, "dataset", "digest"),
)

quarantine_decision = Table(
    "quarantine_decision",
    metadata,
    _id(),
    Column("dataset", String(64), ForeignKey("dataset.name"), nullable=False),
    Column("validation_id", BigInteger, ForeignKey("validation.id"), nullable=False),
    Column("act", String(16), nullable=False),
    Column("cause_id", String(16), nullable=False),
    Column("cause", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_by", String(250), nullable=False),
    _at(),
    CheckConstraint("act IN ('release', 'discard')", name="known"),
    CheckConstraint("rows > 0", name="some"),
    CheckConstraint("reason <> ''", name="reason"),
    Index(None, "dataset", "id"),
)

quarantine_answer = Table(
    "quarantine_answer",
    metadata,
    _id(),
    Column(
        "decision_id",
        BigInteger,
        ForeignKey("quarantine_decision.id"),
        nullable=False,
        unique=True,
    ),
    Column("answer", String(16), nullable=False),
    Column("answered_by", String(250), nullable=False),
    Column("reason", Text, nullable=False),
    Column("validation_id", BigInteger, ForeignKey("validation.id")),
    _at(),
    CheckConstraint("answer IN ('accept', 'decline')", name="known"),
    CheckConstraint("(answer = 'accept') = (validation_id IS NOT NULL)", name="released"),
)

dataset_note = Table(
    "dataset_note",
    metadata,
    _id(),
    Column("dataset", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("author", String(250), nullable=False),
    _at(),
    CheckConstraint("body <> ''", name="said"),
    Index(None, "dataset", "id"),
)

dataset_subscription = Table(
    "dataset_subscription",
    metadata,
    _id(),
    Column("dataset", String(64), nullable=False),
    Column("person", String(250), nullable=False),
    Column("is_on", Boolean, nullable=False),
    _at(),
    Index(None, "dataset", "person", "id"),
)

legal_move = Table(
    "legal_move",
    metadata,
    Column("src", String(16), primary_key=True),
    Column("dst", String(16), primary_key=True),
)

model_version = Table(
    "model_version",
    metadata,
    _id(),
    Column("model", String(64), ForeignKey("model.name"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("generation", Integer, nullable=False, server_default="0"),
    Column("trained_by", String(250), nullable=False),
    Column("training_key", String(64), nullable=False),
    Column("artifact_digest", String(64)),
    Column("signature", Text),
    Column("data_digest", String(64)),
    Column("suite_digest", String(64)),
    Column("code_digest", String(64)),
    Column("config_digest", String(64)),
    Column("lock_digest", String(64)),
    Column("mlflow_run_id", String(64)),
    Column("evaluation_report", String(64)),
    Column("bias_report", String(64)),
    _json("facts"),
    _at(),
    UniqueConstraint("model", "version"),
    UniqueConstraint("training_key"),
    UniqueConstraint("mlflow_run_id"),
    CheckConstraint("state IN ({})".format(", ".join(f"'{s}'" for s in State)), name="known_state"),
    CheckConstraint(
        "state IN ('draft', 'rejected', 'retiring', 'archived', 'deleted') OR "
        "(artifact_digest IS NOT NULL AND signature IS NOT NULL)",
        name="has_artifact",
    ),
    CheckConstraint(
        "state IN ('draft', 'trained', 'rejected', 'retiring', 'archived', 'deleted') OR "
        "(evaluation_report IS NOT NULL AND bias_report IS NOT NULL)",
        name="has_evidence",
    ),
    Index("uq_one_champion", "model", unique=True, postgresql_where=text("state = 'champion'")),
    Index("uq_one_canary", "model", unique=True, postgresql_where=text("state = 'canary'")),
)

training_snapshot = Table(
    "training_snapshot",
    metadata,
    Column("model_version_id", BigInteger, ForeignKey("model_version.id"), primary_key=True),
    Column("snapshot_id", BigInteger, ForeignKey("snapshot.id"), primary_key=True),
)

approval = Table(
    "approval",
    metadata,
    _id(),
    Column("model_version_id", BigInteger, ForeignKey("model_version.id"), nullable=False),
    Column("action", String(32), nullable=False),
    Column("approver", String(250), nullable=False),
    Column("trained_by", String(250), nullable=False),
    Column("answer", String(16), nullable=False),
    Column("artifact_digest", String(64), nullable=False),
    Column("evidence_digest", String(64), nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    _at(),
    UniqueConstraint("model_version_id", "action", "approver", "expires_at"),
    CheckConstraint("lower(approver) <> lower(trained_by)", name="second_person"),
    CheckConstraint("answer IN ('approve', 'reject')", name="known_answer"),
)

traffic_plan = Table(
    "traffic_plan",
    metadata,
    _id(),
    Column("model", String(64), ForeignKey("model.name"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("champion_id", BigInteger, ForeignKey("model_version.id"), nullable=False),
    Column("canary_id", BigInteger, ForeignKey("model_version.id")),
    Column("share_bp", Integer, nullable=False),
    Column("salt", String(64), nullable=False),
    Column("lease_seconds", Integer),
    Column("lease_until", DateTime(timezone=True)),
    Column("champion_until", DateTime(timezone=True), nullable=False),
    Column("canary_until", DateTime(timezone=True)),
    Column("reason", Text, nullable=False),
    Column("actor", String(250), nullable=False),
    _at(),
    UniqueConstraint("model", "generation"),
    CheckConstraint("share_bp BETWEEN 0 AND 10000", name="share"),
    CheckConstraint(
        "(canary_id IS NULL) = (share_bp = 0) AND (canary_id IS NULL) = (lease_until IS NULL)"
        " AND (canary_id IS NULL) = (lease_seconds IS NULL)",
        name="canary_has_lease",
    ),
    CheckConstraint("(canary_id IS NULL) = (canary_until IS NULL)", name="canary_has_end"),
    CheckConstraint("canary_id IS NULL OR canary_id <> champion_id", name="two_arms"),
)

gateway_ack = Table(
    "gateway_ack",
    metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("model", String(64), primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    _at("alive_at"),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("period_seconds", Float, nullable=False),
    _at("seen_at"),
    CheckConstraint("period_seconds > 0", name="positive_period"),
)

trial = Table(
    "trial",
    metadata,
    _id(),
    Column("model_version_id", BigInteger, ForeignKey("model_version.id"), nullable=False),
    Column("asked_by", String(250), nullable=False),
    _at("asked_at"),
)

trial_answer = Table(
    "trial_answer",
    metadata,
    Column("trial_id", BigInteger, ForeignKey("trial.id", ondelete="CASCADE"), primary_key=True),
    Column("gateway_id", String(64), primary_key=True),
    Column("verdict", String(16), nullable=False),
    Column("cause", Text, nullable=False, server_default=""),
    _at("answered_at"),
    CheckConstraint("verdict IN ('ok', 'refused')", name="known"),
)

gateway_key = Table(
    "gateway_key",
    metadata,
    Column("key_digest", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("scopes", JSONB, nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    _at(),
    Column("models", JSONB(none_as_null=True)),
    Column("rows_per_second", Integer),
    Column("last_used_at", DateTime(timezone=True)),
    CheckConstraint("rows_per_second > 0", name="positive_rate"),
)

canary_analysis = Table(
    "canary_analysis",
    metadata,
    _id(),
    Column("model_version_id", BigInteger, ForeignKey("model_version.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("share_bp", Integer, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("action", String(16), nullable=False),
    _json("facts"),
    _at(),
    UniqueConstraint("model_version_id", "number"),
)

report = Table(
    "report",
    metadata,
    _id(),
    Column("digest", String(64), nullable=False),
    Column("stage", String(32), nullable=False),
    Column("subject", Text, nullable=False),
    Column("model", String(64)),
    Column("dataset", String(64)),
    Column("verdict", String(16), nullable=False),
    Column("summary", Text, nullable=False),
    _json("body"),
    *_run(),
    _at(),
    UniqueConstraint(
        "digest", "dag_id", "run_id", "task_id", "map_index", postgresql_nulls_not_distinct=True
    ),
    Index("ix_report_task", "dag_id", "run_id", "task_id"),
)

monitoring_result = Table(
    "monitoring_result",
    metadata,
    _id(),
    Column("model", String(64), ForeignKey("model.name"), nullable=False),
    Column("model_version_id", BigInteger, ForeignKey("model_version.id"), nullable=False),
    Column("window_start", DateTime(timezone=True), nullable=False),
    Column("window_end", DateTime(timezone=True), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("decisions", BigInteger, nullable=False),
    Column("selection", String(64), nullable=False),
    _json("facts"),
    Column("report_digest", String(64), nullable=False),
    _at(),
    UniqueConstraint("model_version_id", "kind", "selection"),
)

stream_count = Table(
    "stream_count",
    metadata,
    Column("model_version_id", BigInteger, ForeignKey("model_version.id"), primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("layout", String(64), nullable=False),
    Column("logged", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("counts", JSONB, nullable=False),
    _at("counted_at"),
)

stream_window = Table(
    "stream_window",
    metadata,
    Column("model_version_id", BigInteger, ForeignKey("model_version.id"), primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("start", Date, primary_key=True),
    Column("days", Integer, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("effect", Float),
    Column("u", Float, nullable=False),
    Column("quarters", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("log_m", Float),
    Column("log_c", Float),
    Column("is_over", Boolean, nullable=False),
)

watched_stream = Table(
    "watched_stream",
    metadata,
    Column("model_version_id", BigInteger, ForeignKey("model_version.id"), primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("days", Integer),
    Column("since", Date),
    Column("by_weekend", Boolean, nullable=False),
    Column("is_tested", Boolean, nullable=False),
    Column("why", Text, nullable=False),
    _at("judged_at"),
)

retrain_request = Table(
    "retrain_request",
    metadata,
    _id(),
    Column("model", String(64), ForeignKey("model.name"), nullable=False),
    Column("reason_code", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", String(250), nullable=False),
    Column("state", String(16), nullable=False),
    Column("model_version_id", BigInteger, ForeignKey("model_version.id")),
    Column("closed_at", DateTime(timezone=True)),
    _at(),
    CheckConstraint("state IN ('open', 'running', 'done', 'failed')", name="known_state"),
    Index(
        "uq_one_open_retrain",
        "model",
        unique=True,
        postgresql_where=text("state IN ('open', 'running')"),
    ),
)

incident = Table(
    "incident",
    metadata,
    _id(),
    Column("dedupe_key", String(250), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("summary", Text, nullable=False),
    Column("state", String(16), nullable=False, server_default="open"),
    Column("seen", Integer, nullable=False, server_default="1"),
    _json("facts"),
    _at(),
    _at("last_seen_at"),
    Column("escalation", Text),
    Column("owner", String(250)),
    Column("acknowledged_at", DateTime(timezone=True)),
    Column("snoozed_until", DateTime(timezone=True)),
    Column("restored_at", DateTime(timezone=True)),
    Column("remediation_due", Date),
    Column("remediated_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True)),
    Column("closed_by", String(250)),
    Column("closed_reason", Text),
    Column("told_event", BigInteger, nullable=False, server_default=text("0")),
    Column("untold", Boolean, nullable=False, server_default=text("true")),
    Column("opened_by", String(64), nullable=False, server_default=text("CURRENT_USER")),
    CheckConstraint("severity IN ('sev1', 'sev2', 'sev3')", name="known_severity"),
    CheckConstraint("state IN ('open', 'restored', 'closed')", name="known_state"),
    CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_at_a_moment"),
    CheckConstraint(
        "state <> 'closed' OR severity <> 'sev1' OR remediated_at IS NOT NULL",
        name="sev1_is_remediated",
    ),
    Index("uq_open_incident", "dedupe_key", unique=True, postgresql_where=text("state = 'open'")),
    Index("ix_untold_incident", "id", postgresql_where=text("untold")),
)

incident_member = Table(
    "incident_member",
    metadata,
    _id(),
    Column("incident_id", BigInteger, ForeignKey("incident.id"), nullable=False),
    Column("name", String(1000), nullable=False),
    Column("item", Text, nullable=False, server_default=""),
    Column("dag_id", String(250)),
    Column("run_id", String(250)),
    Column("task_id", String(250)),
    Column("map_index", Integer, nullable=False, server_default="-1"),
    Column("report_digest", String(64)),
    Column("seen", Integer, nullable=False, server_default="1"),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("repaired_at", DateTime(timezone=True)),
    UniqueConstraint("incident_id", "name"),
    Index(
        "ix_unrepaired_member",
        "dag_id",
        "task_id",
        postgresql_where=text("repaired_at IS NULL"),
    ),
)

remediation = Table(
    "remediation",
    metadata,
    _id(),
    Column("incident_id", BigInteger, ForeignKey("incident.id"), nullable=False, index=True),
    Column("action", Text, nullable=False),
    Column("owner", String(250), nullable=False),
    Column("due", Date, nullable=False),
    Column("written_by", String(250), nullable=False),
    _at("written_at"),
    Column("done_at", DateTime(timezone=True)),
    Column("done_by", String(250)),
    Column("done_note", Text),
    CheckConstraint("num_nulls(done_at, done_by, done_note) IN (0, 3)", name="done_by_somebody"),
)

incident_event = Table(
    "incident_event",
    metadata,
    _id(),
    Column("incident_id", BigInteger, ForeignKey("incident.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("actor", String(250)),
    Column("note", Text, nullable=False, server_default=""),
    _at("at"),
    CheckConstraint(
        "kind IN ('opened', 'joined', 'escalated', 'acknowledged', 'snoozed', 'closed', "
        "'alerted', 'not_alerted', 'acted', 'restored', 'remediation', 'remediated')",
        name="known_kind",
    ),
)

appeal = Table(
    "appeal",
    metadata,
    _id(),
    Column("decision_id", String(36), nullable=False),
    Column("state", String(16), nullable=False),
    Column("opened_by", String(250), nullable=False),
    Column("decided_by", String(250)),
    Column("outcome", Text),
    _at(),
    CheckConstraint("decided_by IS NULL OR decided_by <> opened_by", name="second_person"),
)

consumer = Table(
    "consumer",
    metadata,
    Column("model", String(64), ForeignKey("model.name"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("webhook", Text),
    _at(),
)

decommission = Table(
    "decommission",
    metadata,
    _id(),
    Column(
        "model_version_id",
        BigInteger,
        ForeignKey("model_version.id"),
        nullable=False,
        unique=True,
    ),
    Column("step", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("successor", Text, nullable=False, server_default=""),
    Column("requested_by", String(250), nullable=False),
    Column("second_person", String(250)),
    Column("legal_hold", Boolean, nullable=False, server_default="false"),
    Column("archive_key", Text),
    Column("archive_digest", String(64)),
    Column("retain_until", DateTime(timezone=True)),
    _moment("notified_at"),
    _moment("revoked_at"),
    _moment("verified_at"),
    _moment("deleted_at"),
    Column("record_digest", String(64)),
    _at(),
    CheckConstraint("deleted_at IS NULL OR verified_at IS NOT NULL", name="verify_first"),
    CheckConstraint(
        "second_person IS NULL OR lower(second_person) <> lower(requested_by)",
        name="two_people",
    ),
)

archive_item = Table(
    "archive_item",
    metadata,
    Column("decommission_id", BigInteger, ForeignKey("decommission.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("archive_key", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("delete_after", Boolean, nullable=False, server_default="false"),
    _moment("copied_at"),
    _moment("verified_at"),
    _moment("deleted_at"),
    CheckConstraint("deleted_at IS NULL OR verified_at IS NOT NULL", name="verify_first"),
)

subject_key = Table(
    "subject_key",
    metadata,
    _id(),
    Column("subject_pseudonym", String(64), nullable=False, unique=True),
    Column("wrapped_key", Text),
    Column("destroyed_at", DateTime(timezone=True)),
    CheckConstraint("(wrapped_key IS NULL) = (destroyed_at IS NOT NULL)", name="shredded"),
)

outcome_intake = Table(
    "outcome_intake",
    metadata,
    Column("model", String(64), ForeignKey("model.name"), primary_key=True),
    Column("snapshot_digest", String(64), primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    _at(),
)

log_segment = Table(
    "log_segment",
    metadata,
    _id(),
    Column("key", Text, nullable=False),
    Column("model", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("replaces", JSONB(none_as_null=True)),
    Column("writer", String(64), nullable=False),
    _at("recorded_at"),
    UniqueConstraint("key", "digest"),
    CheckConstraint("rows >= 0", name="counted"),
)

review = Table(
    "review",
    metadata,
    Column("decision_id", String(36), primary_key=True),
    Column("model", String(64), ForeignKey("model.name"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("subject", String(64), nullable=False),
    Column("score", Float, nullable=False),
    Column("decision", Boolean),
    Column("predicted", String(128)),
    Column("confidence", Float, nullable=False),
    Column("fallback_level", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", String(16), nullable=False, server_default="open"),
    Column("claimed_by", String(250)),
    _moment("claim_until"),
    Column("answered_by", String(250)),
    Column("answer", Boolean),
    Column("answer_class", String(128)),
    Column("note", Text, nullable=False, server_default=""),
    _moment("answered_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    _at(),
    CheckConstraint("state IN ('open', 'claimed', 'answered', 'expired')", name="known_state"),
    CheckConstraint("(decision IS NULL) <> (predicted IS NULL)", name="one_decision"),
    CheckConstraint(
        "(answer IS NULL OR decision IS NOT NULL) "
        "AND (answer_class IS NULL OR predicted IS NOT NULL)",
        name="answer_of_its_kind",
    ),
    CheckConstraint(
        "(state = 'answered') = (answer IS NOT NULL OR answer_class IS NOT NULL)",
        name="answered",
    ),
    CheckConstraint(
        "(answer IS NULL AND answer_class IS NULL) = (answered_by IS NULL)", name="by_somebody"
    ),
    Index("ix_review_due", "state", "expires_at"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("feedback_id", String(36), primary_key=True),
    Column("model", String(64), ForeignKey("model.name"), nullable=False),
    Column("decision_id", String(36)),
    Column("request_id", String(256)),
    Column("caller", String(64)),
    Column("given_by", String(300), nullable=False),
    Column("person", String(64), nullable=False, server_default=""),
    Column("verdict", String(16), nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("answer", JSONB(none_as_null=True)),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("state", String(16), nullable=False, server_default="waiting"),
    Column("why", Text, nullable=False, server_default=""),
    _moment("tried_at"),
    Column("version", Integer),
    Column("version_id", BigInteger),
    Column("subject", String(64)),
    Column("answered", JSONB(none_as_null=True)),
    _moment("decided_at"),
    _moment("erased_at"),
    CheckConstraint("verdict IN ('accept', 'override', 'wrong')", name="known_verdict"),
    CheckConstraint("state IN ('waiting', 'joined', 'unmatched')", name="known_state"),
    CheckConstraint("decision_id IS NOT NULL OR request_id IS NOT NULL", name="names_a_decision"),
    CheckConstraint(
        "verdict = 'accept' OR reason <> '' OR erased_at IS NOT NULL", name="has_a_reason"
    ),
    CheckConstraint(
        "(state = 'joined') = (version_id IS NOT NULL AND version IS NOT NULL "
        "AND subject IS NOT NULL AND decided_at IS NOT NULL)",
        name="joined",
    ),
    CheckConstraint("state <> 'joined' OR decision_id IS NOT NULL", name="joined_by_id"),
    Index("ix_feedback_model_state", "model", "state"),
    Index("ix_feedback_subject", "subject"),
    Index("ix_feedback_version_id", "version_id"),
)

scoring_run = Table(
    "scoring_run",
    metadata,
    _id(),
    Column("run_key", String(64), nullable=False, unique=True),
    Column("model_version_id", BigInteger, ForeignKey("model_version.id"), nullable=False),
    Column("snapshot_id", BigInteger, ForeignKey("snapshot.id"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("shard_rows", Integer, nullable=False),
    Column("requested_by", String(250), nullable=False),
    Column("planned_at", DateTime(timezone=True), nullable=False),
    _moment("finished_at"),
    Column("report_digest", String(64)),
)

scoring_shard = Table(
    "scoring_shard",
    metadata,
    Column("scoring_run_id", BigInteger, ForeignKey("scoring_run.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("rows", BigInteger, nullable=False),
    Column("positive", BigInteger, nullable=False),
    Column("decisions_key", Text, nullable=False),
    Column("scores_key", Text, nullable=False),
    Column("scores_digest", String(64), nullable=False),
    Column("seconds", Float, nullable=False),
    _at(),
    CheckConstraint("rows > 0", name="not_empty"),
)

outbox = Table(
    "outbox",
    metadata,
    _id(),
    Column("op_key", String(64), nullable=False, unique=True),
    Column("topic", String(64), nullable=False),
    _json("body"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text),
    _at(),
    Column("delivered_at", DateTime(timezone=True)),
)

ledger_event = Table(
    "ledger_event",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("op_key", String(64), nullable=False, unique=True),
    Column("subject", String(250), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("src", String(16)),
    Column("dst", String(16)),
    Column("actor", String(250), nullable=False),
    _json("body"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("prev_hash", String(64), nullable=False, unique=True),
    Column("hash", String(64), nullable=False, unique=True),
    UniqueConstraint("subject", "generation"),
)

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    _at("at"),
    CheckConstraint("id = 1", name="single"),
)
