"""Builds and runs the gateway of one installation."""

import gc
import logging
import os
import sys
from functools import partial
from importlib.abc import MetaPathFinder

from tenure.files import disk_errors
from tenure.gateway.app import Gateway, Parts, create_app
from tenure.gateway.http import server
from tenure.gateway.log.feedback import FeedbackDelivery
from tenure.gateway.log.records import DecisionDelivery, OutcomeDelivery, Table
from tenure.gateway.log.sealing import sealed_for_good
from tenure.settings import Settings
from tenure.usecases.serving.gateway import GatewayInstallation, gateway_installation

logger = logging.getLogger(__name__)

_COLLECT_AFTER = (20_000, 50, 50)
"""Objects more than before that make Python look at the youngest; then rounds to the older."""

_SWITCH_SECONDS = 0.0005
"""How long a thread that ships or logs keeps the interpreter while the event loop waits for it.

Python's 5 ms made the slowest answers: p99 fell from 37 to 27 ms (benchmarks/serving.py).
"""


def serve(settings: Settings, *, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain, seal and ship.

    Raises:
        PortTaken: Somebody listens there already.
        StateConflict: A gateway with the same id runs on this home.
        ServiceUnreachable: Its folder cannot be written.
    """
    _spare_memory()
    outside = gateway_installation(settings)
    sock = server.bind(host, port)
    try:
        with outside.alone():
            logger.info("gateway=%s listening=%s:%s", outside.gateway, host, port)
            outside.warm_up()
            with disk_errors(outside.folder):
                gateway = Gateway(parts(outside))
            _calm_collector()
            sys.setswitchinterval(_SWITCH_SECONDS)
            server.create_server(
                create_app(gateway),
                limits=outside.limits,
                draining=gateway.draining,
                broken=lambda code: gateway.metrics.broken_connections.labels(code).inc(),
            ).run(sockets=[sock])
    finally:
        sock.close()
        outside.source.close()


def _spare_memory() -> None:
    """A quarter less for this process, before pyarrow is imported (benchmarks/serving.py).

    pyarrow imports pandas where it finds it, and its own allocator keeps what was freed.
    """
    sys.meta_path.insert(0, _WithoutPandas())
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


class _WithoutPandas(MetaPathFinder):
    """Says that there is none. A None in `sys.modules` pyarrow takes for pandas, and fails once."""

    def find_spec(self, fullname: str, *_: object) -> None:
        """Refuse pandas, leave the rest to others. Raises ModuleNotFoundError."""
        if fullname == "pandas":
            raise ModuleNotFoundError("a gateway does without pandas", name=fullname)


def _calm_collector() -> None:
    """Look for cyclic garbage far less often, and never again at what is loaded now.

    Requests leave next to none; looking took 35% of the CPU and made the slowest answers.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def parts(outside: GatewayInstallation) -> Parts:
    """Deliveries, loader, source and secrets of this gateway."""
    files = outside.log_files

    def decisions(table: Table) -> bytes:
        return outside.decisions_to_parquet(table.columns, table.numeric, table.categorical)

    def outcomes(table: Table) -> bytes:
        return outside.outcomes_to_parquet(table.columns)

    return Parts(
        gateway=outside.gateway,
        folder=outside.folder,
        source=outside.source,
        loader=outside.loader,
        policy=outside.policy(),
        labels=outside.labels(),
        deliver_decisions=DecisionDelivery(
            files,
            outside.gateway,
            decisions,
            partial(sealed_for_good, outside.vault),
            outside.enqueue_reviews,
        ),
        deliver_outcomes=OutcomeDelivery(
            files, outside.gateway, outcomes, outside.advance_watermark
        ),
        deliver_feedback=FeedbackDelivery(outside.keep_feedback),
        subject_key=outside.subject_key,
        clock=outside.platform.clock,
        ids=outside.platform.ids,
        limits=outside.limits,
        tokens=outside.tokens,
        note_use=outside.source.note_use,
        vault=outside.vault,
        alarm=outside.source.report_log,
        watch=outside.watch,
    )
