"""What a witness cosigns: a checkpoint that continues the last one that it saw, and no other."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field

from tenure.errors import NotWitnessed
from tenure.lifecycle.audit.merkle import EMPTY_ROOT, is_consistent
from tenure.lifecycle.audit.signed_note import COSIGNATURE, AddCheckpoint, Checkpoint, parse_key
from tenure.lifecycle.policy import Policy

OK, CONFLICT, NO_PROOF = 200, 409, 422
"""Cosigned; another size or root was seen last; the proof does not lead to the checkpoint."""
SIZE_TYPE = "text/x.tlog.size"
"""Content type of an answer that holds the size that the witness saw last."""


def _key_of_witness(text: str) -> str:
    if parse_key(text).kind != COSIGNATURE:
        raise ValueError("it is the key of a log, not of a witness")
    return text


class WitnessPolicy(Policy):
    """The witness that cosigns the ledger's checkpoints."""

    url: str = Field(pattern=r"^https?://[^\s]+$")
    """Where it answers, without `/add-checkpoint`."""
    key: Annotated[str, AfterValidator(_key_of_witness)]
    """Its public key, as `tenure witness` prints it."""


class LedgerPolicy(Policy):
    """Under which name the ledger's checkpoints go out, and who cosigns them."""

    origin: str = Field(default="tenure.invalid/ledger", pattern=r"^[^\s+]+$")
    """Name of this ledger in its checkpoints, as `example.org/tenure`; one name, one ledger."""
    witness: WitnessPolicy | None = None
    """Without one, whoever owns database and object store can rewrite the ledger unseen."""


@dataclass(frozen=True)
class SeenTree:
    """The last tree of a log that a witness cosigned; the empty one before the first."""

    size: int = 0
    root: bytes = EMPTY_ROOT


@dataclass(frozen=True)
class WitnessAnswer:
    """An answer over HTTP: 200 with the cosignature, or why not. It ends in a newline."""

    status: int
    body: str
    content_type: str = "text/plain; charset=utf-8"

    @property
    def seen_size(self) -> int | None:
        """What the witness saw last, when it refused because that was something else."""
        text = self.body.strip()
        return int(text) if self.status == CONFLICT and text.isdecimal() else None


def refusal(seen: SeenTree, asked: AddCheckpoint, checkpoint: Checkpoint) -> WitnessAnswer | None:
    """Why the checkpoint is not cosigned; None when it continues what was seen.

    Its origin and the log's signature are the caller's to check. Source: c2sp.org/tlog-witness.
    """
    if asked.old > checkpoint.size:
        return WitnessAnswer(400, f"old {asked.old} is more than size {checkpoint.size}\n")
    if asked.old != seen.size:
        return WitnessAnswer(CONFLICT, f"{seen.size}\n", SIZE_TYPE)
    if asked.old == checkpoint.size and checkpoint.root != seen.root:
        return WitnessAnswer(CONFLICT, f"{seen.size}\n", SIZE_TYPE)
    if not is_consistent(seen.size, seen.root, checkpoint.size, checkpoint.root, asked.proof):
        return WitnessAnswer(NO_PROOF, f"the proof does not lead from {seen.size} to it\n")
    return None


def not_witnessed(what: str) -> NotWitnessed:
    """The error of a checkpoint that was not cosigned, for a cause outside the ledger."""
    return NotWitnessed(
        what,
        still_safe="The ledger goes on and holds as far as its chain and anchors say; only who "
        "owns database and object store could rewrite what came after the last cosignature.",
        next_step="Ask who runs the witness. `maintain_platform` asks again every five minutes, "
        "and the incident closes with its answer.",
    )
