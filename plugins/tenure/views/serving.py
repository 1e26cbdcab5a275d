"""What still serves while the lifecycle database does not answer."""

from tenure.errors import ServiceUnreachable
from tenure.installation import Installation


def what_serves(platform: Installation) -> tuple[str, bool]:
    """One sentence and whether anything does, asked at the gateway; waits a second at most."""
    from tenure.adapters.health_probe import answers

    url = platform.settings.gateway_url
    trouble = answers(f"{url}/v2/health/live", timeout_seconds=1.0)
    if trouble:
        return f"The gateway at {url} does not answer either: {trouble}.", False
    words = (
        f"The gateway at {url} answers: it serves by the traffic plans that it knew last. "
        "Canaries get nothing once their lease has ended, and an authorization ends at its date."
    )
    return words, True


def airflow_lost() -> ServiceUnreachable:
    """Airflow's own database does not answer."""
    return ServiceUnreachable(
        "Airflow's database does not answer, so nothing is known of its tasks.",
        still_safe="Gateways do not need it.",
        next_step="Run `tenure doctor`.",
    )
