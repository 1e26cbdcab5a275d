"""The stages of one model's life, each waited for until the lifecycle database says it is so."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from tenure.config import load_model
from tenure.demo.airflow_api import AirflowUser
from tenure.demo.client import Flight, Replay, sample_month
from tenure.demo.patience import Patience
from tenure.demo.summary import Summary
from tenure.demo.upstream import write_month
from tenure.errors import ServiceUnreachable, StateConflict
from tenure.installation import Installation
from tenure.layout import DECOMMISSION_MODEL, PROMOTE_MODEL, dag_id, landing_prefix, parse_dag_id
from tenure.settings import Settings
from tenure.verdicts import Verdict
from tenure.vocabulary import State

if TYPE_CHECKING:
    from tenure.demo.summary import BatchVerdict, RequestState, VersionState, WrittenReport

T = TypeVar("T")

MODEL = "flight_late"
DATASET = "flights"
SEED = 2013
FIRST_MONTHS = (1, 2)
BROKEN_MONTH = 3
LIVE_MONTH = 6
LATER_MONTHS = (4, 5, 6)
CANARY_MONTHS = (7, 8)
READING_TIME = timedelta(seconds=5)
_UNJUDGED_SECONDS = 600.0
"""A canary that nobody has judged for so long will not be judged any more."""
EXPECTED_FAILURES = frozenset(
    {("flights__ingest_data", "ingest"), ("flight_late__promote_model", "canary")}
)


@dataclass(frozen=True)
class Stage:
    """One line of the closing table."""

    name: str
    verdict: str
    seconds: float
    evidence: str


@dataclass
class Story:
    """Tells the life of `flight_late`.

    Args:
        settings: The running installation.
        folder: Where the client, the receiver and the summary keep their files.
        people: Logged-in users by name.
        say: Gets one line at a time.
        gateway_key: Key of the client.
        live_share: Of June's flights: enough to measure the decay that retraining is decided on.
        canary_share: Of July's and August's flights, replayed until the canary ends.
        canary_pace: Requests a second during the canary: some ten analyses see the ramp.
    """

    settings: Settings
    folder: Path
    people: dict[str, AirflowUser]
    say: Callable[[str], None]
    gateway_key: str = ""
    live_share: float = 0.12
    canary_share: float = 0.8
    canary_pace: float = 350.0
    stages: list[Stage] = field(default_factory=list)
    canary: dict[str, object] = field(default_factory=dict)
    expected_failures: ClassVar[frozenset[tuple[str, str]]] = EXPECTED_FAILURES

    def __post_init__(self) -> None:
        self.platform = Installation(self.settings)
        self.facts = Summary(self.platform)
        self.answers = self.folder / "answers.jsonl"
        self._seen_report = 0

    def run(self) -> None:
        """Live the whole life, in order."""
        with self._stage("ingest") as end:
            end(*self._ingest(FIRST_MONTHS))
        with self._stage("refuse a broken batch") as end:
            end(*self._refuse_broken(BROKEN_MONTH))
        with self._stage("ingest the repaired batch") as end:
            end(*self._ingest((BROKEN_MONTH,)))
        with self._stage("train") as end:
            end(*self._train(1))
        with self._stage("approve") as end:
            end(*self._approve(1, State.CHAMPION))
        with self._stage("serve") as end:
            end(*self._serve(LIVE_MONTH))
        with self._stage("ingest later months") as end:
            end(*self._ingest(LATER_MONTHS))
        with self._stage("monitor") as end:
            end(*self._monitor())
        with self._stage("decide to retrain") as end:
            end(*self._decide())
        with self._stage("retrain") as end:
            end(*self._train(2))
        with self._stage("approve the retrained version") as end:
            end(*self._approve(2, State.CANARY))
        with self._stage("canary") as end:
            end(*self._canary(CANARY_MONTHS))
        with self._stage("decommission") as end:
            end(*self._decommission())

    def close(self) -> None:
        """Log everybody out and leave the lifecycle database."""
        for person in self.people.values():
            person.close()
        self.platform.database.dispose()

    def upstream(self, month: int, damage: str = "none") -> None:
        """The upstream drops a month into the landing zone; whole or not at all."""
        draft = write_month(self.folder / "upstream", month, damage=damage)  # type: ignore[arg-type]
        self.platform.store.put_file(landing_prefix(DATASET) + draft.name, draft)

    def _ingest(self, months: tuple[int, ...]) -> tuple[str, str]:
        for month in months:
            self.upstream(month)
        wanted = {f"2013-{month:02}" for month in months}

        def published() -> "list[BatchVerdict] | None":
            rows = [b for b in self.facts.batches(DATASET) if b.verdict is Verdict.PASSED]
            return rows if wanted <= {b.batch for b in rows} else None

        rows = [b for b in self._wait("publishing", published) if b.batch in wanted]
        for row in rows:
            self.say(f"{row.batch}: {row.rows_ok:,} rows published")
        return "passed", self.report(rows[-1].report_digest)

    def _refuse_broken(self, month: int) -> tuple[str, str]:
        self.upstream(month, damage="broken")
        batch = f"2013-{month:02}"

        def refused() -> "BatchVerdict | None":
            failed = (b for b in self.facts.batches(DATASET) if b.verdict is Verdict.FAILED)
            return next((b for b in failed if b.batch == batch), None)

        row = self._wait("judging the broken batch", refused)
        self.say(f"{batch}: refused, {row.rows_quarantined:,} rows in quarantine")
        return "refused", self.report(row.report_digest)

    def _train(self, number: int) -> tuple[str, str]:
        def judged() -> "VersionState | None":
            states = {State.VALIDATED, State.APPROVED, State.CANARY, State.CHAMPION}
            row = self._version(number)
            return row if row and row.state in states else None

        row = self._wait(f"training {MODEL}@{number}", judged)
        metrics = {k: round(v, 3) for k, v in row.metrics.items()}
        self.say(f"{MODEL}@{number} validated: {metrics}")
        return "validated", self.report(row.evaluation_report or "")

    def _approve(self, number: int, state: State) -> tuple[str, str]:
        def moved() -> "VersionState | None":
            row = self._version(number)
            return row if row and row.state in {state, State.CHAMPION} else None

        row = self._wait_answering(f"{MODEL}@{number} to become {state}", moved)
        return str(row.state), self.page(f"model/{MODEL}")

    def _wait_answering(self, what: str, look: Callable[[], T | None]) -> T:
        """Wait while grace says yes to what she is asked, after a moment's reading.

        An answer within seconds of the question can reach Airflow before its own executor has told
        that the asking process ended; the task is then tried again, and asks again.
        """
        grace = self.people["grace"]

        def answer_and_look() -> T | None:
            for question in grace.open_questions():
                asked = datetime.fromisoformat(question["created_at"])
                if self.platform.clock.now() - asked > READING_TIME:
                    self.say(f"   grace reads “{question['subject']}”: {question['options'][0]}")
                    grace.answer(question, question["options"][0])
            return look()

        return self._wait(what, answer_and_look)

    def _serve(self, month: int) -> tuple[str, str]:
        flights = sample_month(self.month(month), self.live_share, SEED)
        client = self._client()
        self.say(f"replaying {len(flights):,} flights of 2013-{month:02} as requests")
        self._wait("the gateway to serve", self._gateway_serves)
        client.run(flights)
        if client.refused:
            raise ServiceUnreachable(
                f"The gateway refused {client.refused} of {len(flights)} requests.",
                still_safe="Every answered request is in the decision log.",
                next_step="Look at logs/gateway.log under the home folder.",
            )
        self._wait("shipping", lambda: self._shipped(client.answered) or None)
        return f"{client.answered:,} decisions", f"{self.settings.gateway_url}/v2/models/{MODEL}"

    def _monitor(self) -> tuple[str, str]:
        row = self._wait(
            "monitoring the live decisions",
            lambda: _first(
                r for r in self._new_reports("monitoring") if "performance" in r.summary.lower()
            ),
        )
        self.say(row.summary)
        return str(row.verdict), self.report(row.digest)

    def _decide(self) -> tuple[str, str]:
        def chosen() -> "RequestState | None":
            rows = self.facts.requests(MODEL)
            return rows[1] if len(rows) > 1 else None

        row = self._wait("the retraining controller", chosen)
        self.say(f"retrain: {row.reason}")
        return row.reason_code, self.page(f"model/{MODEL}")

    def _canary(self, months: tuple[int, ...]) -> tuple[str, str]:
        client = self._client(self.canary_pace)
        flights = [
            f for m in months for f in sample_month(self.month(m), self.canary_share, SEED + m)
        ]
        version = self._probation(client, flights, self._canary_ended)
        analyses = self.facts.analyses(version.id)
        outcome = "promoted" if version.state is State.CHAMPION else "rolled back"
        self.canary = {"analyses": len(analyses), "outcome": outcome}
        shares = " → ".join(f"{bp / 100:g}%" for bp in dict.fromkeys(a.share_bp for a in analyses))
        self.say(f"{len(analyses)} analyses at {shares}; {client.arms}: {outcome}")
        self._wait("shipping", lambda: self._shipped(self._answered()) or None)
        return outcome, self.page(f"model/{MODEL}")

    def _probation(
        self,
        client: Replay,
        flights: Sequence[Flight],
        ended: "Callable[[], VersionState | None]",
    ) -> "VersionState":
        """Live requests until the canary has ended.

        The client keeps step with the analyses: what it sends while nobody judges and nothing is on
        trial is lost as evidence, and the flights do not last for ever.

        Raises:
            StateConflict: All is replayed and there is no verdict, or nobody judges any more.
            aiohttp.ClientError: The client failed.
        """
        over = threading.Event()
        config, _ = load_model(self.settings.include, client.model)
        pause = config.canary.analysis_seconds
        newest = self.facts.versions(client.model)[-1].id

        def analyses() -> int:
            return len(self.facts.analyses(newest))

        def look() -> "VersionState | None":
            if (found := ended()) is not None:
                return found
            if patience.is_over():
                raise self._no_verdict(client, f"nobody has judged for {_UNJUDGED_SECONDS:.0f} s")
            if replay.done():
                replay.result()
                judged.append(analyses())
                if judged[-1] > judged[0] + 2:
                    raise self._no_verdict(client, f"all {len(flights):,} flights are replayed")
            return None

        judged: list[int] = []
        patience = Patience(analyses, _UNJUDGED_SECONDS)
        with ThreadPoolExecutor(max_workers=1) as pool:
            replay = pool.submit(
                client.run,
                flights,
                until=over.is_set,
                hold=partial(_is_ahead, client, analyses, pause),
            )
            try:
                found = self._wait("the canary's verdict", look)
            finally:
                over.set()
        replay.result()
        return found

    def _no_verdict(self, client: Replay, why: str) -> StateConflict:
        newest = self.facts.versions(client.model)[-1]
        return StateConflict(
            f"The canary {client.model}@{newest.version} has no verdict after "
            f"{len(self.facts.analyses(newest.id))} analyses, and {why}; answers by arm "
            f"{client.arms}, {client.refused:,} refused.",
            still_safe="The champion serves.",
            next_step=f"Look at the task canary of {dag_id(client.model, PROMOTE_MODEL)} in "
            f"{self.settings.airflow_url}, and open {self.page(f'model/{client.model}')}.",
        )

    def _canary_ended(self) -> "VersionState | None":
        row = self._version(2)
        return row if row and row.state in {State.CHAMPION, State.ROLLED_BACK} else None

    def _decommission(self) -> tuple[str, str]:
        retired = next(
            v
            for v in self.facts.versions(MODEL)
            if v.state in {State.SUPERSEDED, State.ROLLED_BACK}
        )
        olga = self.people["olga"]
        successor = next(v for v in self.facts.versions(MODEL) if v.state is State.CHAMPION)
        olga.trigger(
            dag_id(MODEL, DECOMMISSION_MODEL),
            {
                "version": retired.version,
                "reason": "No longer in use after the canary.",
                "successor": f"{MODEL}@{successor.version}",
            },
        )

        def gone() -> "VersionState | None":
            row = self._version(retired.version)
            return row if row and row.state is State.DELETED else None

        self._wait_answering(f"{MODEL}@{retired.version} to be retired", gone)
        record = self._wait(
            "the decommission record", lambda: _first(self._new_reports("decommission"))
        )
        return "deleted with record", self.report(record.digest)

    def decisions_match(self) -> tuple[int, int, int]:
        """Answered requests of the client, logged decisions, and how many differ or are doubled."""
        lines = self.answers.read_text(encoding="utf-8").splitlines()
        answered = [str(json.loads(line)["request_id"]) for line in lines]
        logged = self.facts.decided_requests(MODEL)
        doubled = len(logged) - len(set(logged))
        return len(answered), len(logged), len(set(answered) ^ set(logged)) + doubled

    def month(self, month: int) -> Path:
        """File of a month, as the upstream would drop it."""
        return write_month(self.folder / "upstream", month, damage="none")

    def report(self, digest: str) -> str:
        """Page of a report."""
        return self.page(f"report/{digest[:12]}")

    def page(self, path: str) -> str:
        """Page of Tenure inside Airflow."""
        return f"{self.settings.airflow_url}/tenure/{path}"

    def _client(self, pace: float = 0.0, model: str = MODEL) -> Replay:
        config, _ = load_model(self.settings.include, model)
        return Replay(
            url=self.settings.gateway_url,
            key=self.gateway_key,
            model=model,
            features=config.features.all,
            log=self.answers,
            requests_per_second=pace,
        )

    def _answered(self) -> int:
        return len(self.answers.read_text(encoding="utf-8").splitlines())

    def _shipped(self, answered: int) -> bool:
        return len(self.facts.decided_requests(MODEL)) >= answered

    def _gateway_serves(self) -> bool | None:
        import httpx

        headers = {"Authorization": f"Bearer {self.gateway_key}"}
        try:
            answer = httpx.get(
                f"{self.settings.gateway_url}/v2/models/{MODEL}/plan", headers=headers, timeout=5
            )
        except httpx.HTTPError:
            return None
        return answer.status_code == 200 or None

    def _version(self, number: int, model: str = MODEL) -> "VersionState | None":
        return next((v for v in self.facts.versions(model) if v.version == number), None)

    def _new_reports(self, stage: str) -> "list[WrittenReport]":
        return [r for r in self.facts.reports(self._seen_report) if r.stage == stage]

    @contextmanager
    def _stage(self, name: str) -> Iterator[Callable[[str, str], None]]:
        start = time.monotonic()
        self.say(f"── {name}")
        said: list[tuple[str, str]] = []
        yield lambda verdict, evidence: said.append((verdict, evidence))
        for verdict, evidence in said:
            seconds = round(time.monotonic() - start, 1)
            self.stages.append(Stage(name, verdict, seconds, evidence))
            self.say(f"   {verdict} after {seconds} s")

    def _wait(self, what: str, look: Callable[[], T | None]) -> T:
        """Look twice a second until something is there; an unexpected red task ends the wait.

        A service that does not answer is asked again: on a busy machine it is only slow.

        Raises:
            StateConflict: A task failed that should not have, or nothing moves any more.
        """
        start = told = time.monotonic()
        patience, trouble = Patience(self._moves), ""
        while not patience.is_over():
            try:
                if (found := look()) is not None:
                    return found
                self._stop_at_failure()
                trouble = ""
            except ServiceUnreachable as error:
                trouble = f" ({error.what.splitlines()[0][:100]})"
            if time.monotonic() - told > 15:
                told = time.monotonic()
                self.say(f"   … {what}, {told - start:.0f} s{trouble}")
            time.sleep(0.5)
        raise StateConflict(
            f"The demo waited {time.monotonic() - start:.0f} s for {what}, and for the last "
            f"{patience.still_seconds:.0f} s nothing moved{trouble}.",
            still_safe="Everything up to the last stage stands.",
            next_step=f"Open {self.settings.airflow_url} and look for red or waiting tasks.",
        )

    def _moves(self) -> object:
        """What changes while the installation works on something.

        A task that runs is a movement by itself: Airflow ends it when its process is dead.
        """
        try:
            tasks = self.people["olga"].unfinished_tasks()
            written = self.facts.ledger_length(), len(self.facts.reports())
        except ServiceUnreachable:
            return None
        ours = [t for t in tasks if parse_dag_id(t.dag_id).owner]
        runs = any(task.state == "running" for task in ours)
        return written, frozenset(ours), time.monotonic() if runs else None

    def _stop_at_failure(self) -> None:
        for row in self.facts.reports(self._seen_report):
            expected = (row.dag_id, row.task_id) in self.expected_failures
            if row.stage == "failure" and not expected:
                raise StateConflict(
                    f"{row.dag_id}.{row.task_id} failed: {row.summary}",
                    still_safe="Everything up to the last stage stands.",
                    next_step="Open the tab Tenure of the red task in Airflow.",
                    evidence=row.digest,
                )


def _is_ahead(client: Replay, analyses: Callable[[], int], pause: float) -> bool:
    """Whether it has sent what two analyses more than there are would have seen at its pace."""
    try:
        due = client.requests_per_second * pause * (analyses() + 2)
    except ServiceUnreachable:
        return True
    return 0 < due < client.answered + client.refused


def _first(rows: Iterable[T]) -> T | None:
    return next(iter(rows), None)
