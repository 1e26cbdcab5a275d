"""What Prometheus reads; each gateway has a registry of its own, as tests run several."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counters of one gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.decisions = Counter(
            "tenure_decisions",
            "Scored rows, by the arm that was assigned and the level that answered.",
            ["model", "arm", "level"],
            registry=self.registry,
        )
        self.failures = Counter(
            "tenure_scoring_failures",
            "Requests that an arm could not score.",
            ["model", "arm", "reason"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "tenure_refusals", "Requests without a decision.", ["code"], registry=self.registry
        )
        self.seconds = Histogram(
            "tenure_decision_seconds",
            "From the parsed request to its durable record.",
            ["model"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.outcomes = Counter(
            "tenure_outcomes", "Outcomes received.", ["model"], registry=self.registry
        )
        self.generation = Gauge(
            "tenure_plan_generation", "Traffic plan in use.", ["model"], registry=self.registry
        )
        self.share = Gauge(
            "tenure_canary_share_bp",
            "Share of the canary in basis points, 0 once its lease has ended.",
            ["model"],
            registry=self.registry,
        )
        self.unshipped = Gauge(
            "tenure_unshipped_segments",
            "Sealed segments that wait for the object store.",
            ["log"],
            registry=self.registry,
        )
        self.database_age = Gauge(
            "tenure_database_age_seconds",
            "Since the lifecycle database answered last; -1 when it never did.",
            registry=self.registry,
        )

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
