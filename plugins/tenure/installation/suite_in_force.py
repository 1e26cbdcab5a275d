"""The suite that judges from now on: the file's text, or what was accepted in its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.config import DatasetConfig
from tenure.config.suites import parse_suite_for, read_suite
from tenure.installation import Installation
from tenure.lifecycle.data.expectations import Suite
from tenure.vocabulary import digest_bytes

if TYPE_CHECKING:
    from tenure.adapters.sql.suite_proposals import SuiteProposal


@dataclass(frozen=True)
class SuiteInForce:
    """A suite, and where its text comes from.

    Args:
        suite: What judges.
        file_digest: Of the bytes of `include/expectations/NAME.json`.
        proposal: The accepted proposal whose text it is; None when it is the file's.
    """

    suite: Suite
    file_digest: str
    proposal: "SuiteProposal | None"


def suite_in_force(
    platform: Installation, name: str, users: Sequence[DatasetConfig]
) -> SuiteInForce:
    """The suite that judges these datasets, valid for each of them.

    An accepted proposal stands in place of the file as it was when it was accepted, byte for byte.
    So whoever edits the file afterwards has the last word; the newest acceptance counts.

    Raises:
        ConfigInvalid: The file, or the accepted text, is no valid suite.
    """
    from tenure.adapters.sql.suite_proposals import accepted_for

    path, data = read_suite(platform.settings.include, name)
    digest = digest_bytes(data)
    with platform.database.begin() as connection:
        accepted = accepted_for(connection, name, digest)
    if accepted is None:
        return SuiteInForce(parse_suite_for(data, name, users, path), digest, None)
    called = path.with_name(f"{path.name} (accepted proposal {accepted.id})")
    suite = parse_suite_for(accepted.body.encode(), name, users, called)
    return SuiteInForce(suite, digest, accepted)


def suite_branch(proposal: "SuiteProposal") -> str:
    """The branch of git that an accepted proposal is committed to."""
    return f"tenure/{proposal.suite}-{proposal.id}"
