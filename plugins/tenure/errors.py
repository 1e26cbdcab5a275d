"""Errors that ask a person to act; anything else that is raised is a bug.

TenureError
├── ConfigInvalid        a YAML or suite file says something that is not allowed
├── DataRejected         a batch broke its contract or a critical expectation
├── SchemaBroken         data changed shape under a model that reads it
├── GateFailed           a gate judged `failed`
├── GateInconclusive     a gate could not judge: more data or a person is needed
├── CanaryRolledBack     the challenger did harm and lost its traffic
├── NotPermitted         a person or role may not do this
│   └── ReasonMissing    an answer lacks the reason that it needs (asked again: retried)
├── TextRefused          a text from outside is too long, or holds what nobody can read
├── FileRefused          a file that a command was given cannot be judged as it was asked
├── StateConflict        somebody else moved first; the work here is stale
├── ArtifactRefused      digest, signature or type of an artifact is not acceptable
├── ObjectMissing        the object store has no such object (any more)
├── ArchiveIncomplete    an archive item did not read back as it was written
├── LedgerBroken         the hash chain or an invariant does not hold
├── NotWitnessed         no witness cosigned the newest events of the ledger
├── PortTaken            a service cannot bind its port
└── ServiceUnreachable   a database, store or server does not answer (heals by itself: retried)
"""

from typing import ClassVar


class TenureError(Exception):
    """What happened with numbers, what is still safe, what to do next.

    Args:
        what: The cause in one or two sentences, with numbers, observed and allowed.
        still_safe: What is not affected.
        next_step: The next action of the reader.
        evidence: A report digest, a path or a URL, when there is one.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self, what: str, *, still_safe: str, next_step: str, evidence: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.still_safe = still_safe
        self.next_step = next_step
        self.evidence = evidence

    def lines(self) -> list[str]:
        """The card as labelled paragraphs, cause first; for logs and terminals."""
        rows = [self.what, f"Still safe: {self.still_safe}", f"Next step: {self.next_step}"]
        return rows + ([f"Evidence: {self.evidence}"] if self.evidence else [])

    def __str__(self) -> str:
        return "\n".join(self.lines())


class ConfigInvalid(TenureError):
    """A YAML or suite file says something that is not allowed."""


class DataRejected(TenureError):
    """A batch broke its contract or a critical expectation."""


class SchemaBroken(TenureError):
    """Data changed shape under a model that reads it; other models go on."""


class GateFailed(TenureError):
    """A gate judged `failed`."""


class GateInconclusive(TenureError):
    """A gate could not judge: more data or a person is needed."""


class CanaryRolledBack(TenureError):
    """The challenger did harm and lost its traffic."""


class NotPermitted(TenureError):
    """A person or role may not do this."""


class ReasonMissing(NotPermitted):
    """An answer lacks the reason that it needs; the next try of its task asks again."""

    retryable = True


class TextRefused(TenureError):
    """A text from outside is too long, or holds what nobody can read or no database keeps."""


class FileRefused(TenureError):
    """A file that a command was given cannot be judged as it was asked."""


class StateConflict(TenureError):
    """Somebody else moved first; the work here is stale."""


class ArtifactRefused(TenureError):
    """Digest, signature or type of an artifact is not acceptable."""


class ObjectMissing(TenureError):
    """The object store has no such object (any more).

    A task tries again: what was compacted in the meantime is listed anew.
    """

    retryable = True


class ArchiveIncomplete(TenureError):
    """An archive item did not read back as it was written."""


class LedgerBroken(TenureError):
    """The hash chain or an invariant does not hold."""


class NotWitnessed(TenureError):
    """The ledger's witness is silent, or refuses for another cause than what the ledger holds."""


class PortTaken(TenureError):
    """A service cannot bind its port."""


class ServiceUnreachable(TenureError):
    """A database, store or server does not answer; the work may be tried again.

    `may_be_done` says that the answer was lost, not the work: it may have been done all the same.
    """

    retryable = True
    may_be_done: bool = False
