"""What Prometheus reads; each gateway has a registry of its own, as tests run several.

Labels take values from short lists only: registered models, our own routes and codes.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counters of one gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.requests = Counter(
            "http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "http_request_duration_seconds",
            "From the first byte handed to the gateway's code to the answer.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.broken_connections = Counter(
            "tenure_connections_refused",
            "Connections ended before a request was whole.",
            ["code"],
            registry=self.registry,
        )
        self.replayed = Counter(
            "tenure_replayed_answers",
            "Requests whose id was known: answered with the decision made before.",
            ["model"],
            registry=self.registry,
        )
        self.cache = Counter(
            "tenure_score_cache",
            "Rows looked up in the cache of scores.",
            ["model", "result"],
            registry=self.registry,
        )
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
        self.fallbacks = Counter(
            "tenure_fallbacks",
            "Scored rows that the assigned version did not answer, by the level that did.",
            ["model", "version", "level", "reason"],
            registry=self.registry,
        )
        self.reviews = Counter(
            "tenure_reviews",
            "Rows that a person has to look at.",
            ["model"],
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
        self.feedback = Counter(
            "tenure_feedback", "Feedback received.", ["model", "verdict"], registry=self.registry
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
        self.onnx = Gauge(
            "tenure_onnx_versions",
            "Live versions that are scored by ONNX Runtime.",
            ["model"],
            registry=self.registry,
        )
        self.unshipped = Gauge(
            "tenure_unshipped_segments",
            "Sealed segments that wait for the object store.",
            ["log"],
            registry=self.registry,
        )
        self.aside = Gauge(
            "tenure_aside_segments",
            "Segments that were put aside: damaged, or not to be stored; an incident says more.",
            ["log", "folder"],
            registry=self.registry,
        )
        self.database_age = Gauge(
            "tenure_database_age_seconds",
            "Since the lifecycle database answered last; -1 when it never did.",
            registry=self.registry,
        )

        self.token_keys_age = Gauge(
            "tenure_jwks_age_seconds",
            "Since the identity provider's keys were read last; -1 when they never were, NaN "
            "without a provider.",
            registry=self.registry,
        )

    def route(self, method: str, path: str) -> "Route":
        """The counters of one of our routes."""
        return Route(self, method, path)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


class Route:
    """Counts one route; the children of its counters are looked up once."""

    def __init__(self, metrics: Metrics, method: str, path: str) -> None:
        self.path = path
        self._metrics = metrics
        self._method = method
        self._seconds = metrics.request_seconds.labels(method, path)
        self._by_status: dict[int, Counter] = {}

    def answered(self, status: int, seconds: float) -> None:
        """One more answer."""
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._metrics.requests.labels(self._method, self.path, str(status))
            self._by_status[status] = counter
        counter.inc()
        self._seconds.observe(seconds)

    def refused(self, code: str) -> None:
        """One more refusal."""
        self._metrics.refusals.labels(code).inc()
