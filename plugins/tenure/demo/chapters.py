"""The longer story: after the life of `flight_late` two more models; one must not serve."""

from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING, ClassVar

from tenure.demo import mortgages
from tenure.demo.client import sample_month
from tenure.demo.story import SEED, Story
from tenure.layout import INGEST_DATA, TRAIN_MODEL, dag_id, landing_prefix
from tenure.verdicts import Verdict
from tenure.vocabulary import RunRef, State

if TYPE_CHECKING:
    from tenure.demo.summary import VersionState

REGRESSION, LENDING, APPLICATIONS = "flight_delay", "mortgage_approval", "mortgages"
ASKED_MONTH = 7
OFFERED = "  # mitigation: {"
"""How the shipped YAML begins the line that it offers."""


def configs_of_its_own(include: Path, home: Path) -> Path:
    """A copy of the configs below the home folder: a chapter edits a YAML in it."""
    return Path(copytree(include, home / "include", dirs_exist_ok=True))


class FullStory(Story):
    """The life of `flight_late`, then a regression that serves and a loan model that does not."""

    expected_failures: ClassVar = Story.expected_failures | {
        (f"{model}__train_model", gate)
        for model in (REGRESSION, LENDING)
        for gate in ("evaluate", "audit_bias")
    }

    def run(self) -> None:
        """Live the life, then the chapters, in order."""
        super().run()
        with self._stage(f"train {REGRESSION}, a regression") as end:
            end(*self._train_regression())
        with self._stage(f"approve {REGRESSION} and ask it") as end:
            end(*self._ask_regression())
        with self._stage("ingest mortgage applications") as end:
            end(*self._ingest_applications())
        with self._stage(f"train {LENDING} as it stands") as end:
            end(*self._judge_lending(1))
        with self._stage(f"mitigate {LENDING} and judge it again") as end:
            end(*self._mitigate_lending())

    def _train_regression(self) -> tuple[str, str]:
        row = self._trained(REGRESSION, 1, {State.VALIDATED, State.REJECTED})
        metrics = {name: round(value, 2) for name, value in row.metrics.items()}
        self.say(f"{row.model}@{row.version} {row.state}, minutes of delay: {metrics}")
        return str(row.state), self.report(row.evaluation_report or "")

    def _ask_regression(self) -> tuple[str, str]:
        newest = self._version(1, REGRESSION)
        if newest is None or newest.state is State.REJECTED:
            self.say("its gates refused it, so there is nobody to ask")
            return "refused", self.page(f"model/{REGRESSION}")

        def serves() -> "VersionState | None":
            row = self._version(1, REGRESSION)
            return row if row and row.state is State.CHAMPION else None

        self._wait_answering(f"{REGRESSION}@1 to become {State.CHAMPION}", serves)
        minutes = self._wait("its first answer", self._first_answer)
        self.say(f"a flight of 2013-{ASKED_MONTH:02}: {minutes:+.1f} minutes late, it says")
        return "serves", self.page(f"model/{REGRESSION}")

    def _first_answer(self) -> float | None:
        """What a gateway answers about one flight, once it serves the model itself."""
        import httpx

        flight = sample_month(self.month(ASKED_MONTH), 0.001, SEED)[0]
        body = self._client(model=REGRESSION).request(flight)
        try:
            answer = httpx.post(
                f"{self.settings.gateway_url}/v2/models/{REGRESSION}/infer",
                headers={"Authorization": f"Bearer {self.gateway_key}"},
                json=body,
                timeout=10,
            )
        except httpx.HTTPError:
            return None
        if answer.status_code != 200:
            return None
        if answer.json()["parameters"]["fallback_level"] not in {"model", "champion"}:
            return None
        outputs = {one["name"]: one["data"] for one in answer.json()["outputs"]}
        return float(outputs["prediction"][0])

    def _ingest_applications(self) -> tuple[str, str]:
        numbers = range(1, mortgages.BATCHES + 1)
        for number in numbers:
            draft = mortgages.write_batch(self.folder / "upstream", number)
            self.platform.store.put_file(landing_prefix(APPLICATIONS) + draft.name, draft)
        self.people["olga"].trigger(dag_id(APPLICATIONS, INGEST_DATA), {})
        wanted = {f"quarter-{number}" for number in numbers}

        def published() -> str | None:
            rows = [b for b in self.facts.batches(APPLICATIONS) if b.verdict is Verdict.PASSED]
            there = {b.batch for b in rows}
            return rows[-1].report_digest if wanted <= there else None

        digest = self._wait("publishing the applications", published)
        self.say("four artificial quarters of 1,989 applications: the source has no time")
        return "passed", self.report(digest)

    def _judge_lending(self, number: int) -> tuple[str, str]:
        row = self._trained(LENDING, number, {State.VALIDATED, State.REJECTED})
        for report in self._judgements(row):
            self.say(report)
        return str(row.state), self.page(f"model/{LENDING}")

    def _mitigate_lending(self) -> tuple[str, str]:
        """Take the offered line, train, and audit what came out whatever its evaluation said."""
        from tenure.usecases.evaluation.evidence import bias_audit

        path = self.settings.include / "configs" / "models" / f"{LENDING}.yaml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(OFFERED, OFFERED.replace("# ", "")), encoding="utf-8")
        self.say(f"{path.name}: the line `mitigation` is switched on")
        verdict, evidence = self._judge_lending(2)
        run = RunRef("demo", "full-story", "bias_audit", user="ada")
        report, digest = bias_audit(self.platform, LENDING, 2, run)
        self.say(f"its bias audit: {report.verdict}")
        found = report.facts.get("mitigation")
        if isinstance(found, dict):
            for one in found["costs"]:
                sides = f"{one['before']:.3f} before, {one['after']:.3f} after"
                self.say(f"   {one['metric']}: {sides}")
        return f"{verdict}, audit {report.verdict}", self.report(digest or evidence)

    def _trained(self, model: str, number: int, states: set[State]) -> "VersionState":
        self.people["ada"].trigger(dag_id(model, TRAIN_MODEL), {"reason": "The longer story."})

        def judged() -> "VersionState | None":
            row = self._version(number, model)
            return row if row and row.state in states else None

        return self._wait(f"training {model}@{number}", judged)

    def _judgements(self, row: "VersionState") -> list[str]:
        """What evaluation and audit of the version said, the first lines of it."""
        subject = f"{row.model}@{row.version}"
        said = [*self._new_reports("evaluation"), *self._new_reports("bias")]
        return [f"{r.stage}: {r.summary[:300]}" for r in said if r.subject == subject]
