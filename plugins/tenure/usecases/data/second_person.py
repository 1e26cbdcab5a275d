"""Four eyes: what one person proposes about a dataset or its suite, another one accepts."""

from tenure.errors import NotPermitted
from tenure.installation import Installation
from tenure.vocabulary import Role


def require_second_person(
    platform: Installation,
    what: str,
    *,
    proposed_by: str,
    user: str,
    accept: bool,
    still_safe: str,
) -> None:
    """Refuse who may not answer a proposal; its own author may only take it back.

    Args:
        platform: The installation.
        what: The proposal, for people: `release 3 of orders`.
        proposed_by: Its author.
        user: Who answers.
        accept: Yes or no.
        still_safe: What stays as it is.

    Raises:
        NotPermitted: The person is neither steward nor approver, or accepts her own proposal.
    """
    if not any(platform.config.allows(user, role) for role in (Role.STEWARD, Role.APPROVER)):
        raise NotPermitted(
            f"{user} may not answer proposals: that needs the role steward or approver.",
            still_safe=still_safe,
            next_step="Ask one of them, or add the name to `roles` in "
            "include/configs/platform.yaml.",
        )
    if accept and user.casefold() == proposed_by.casefold():
        raise NotPermitted(
            f"{user} proposed {what}: a second person accepts it.",
            still_safe=still_safe,
            next_step="Ask another steward, or an approver. You may take it back by declining it.",
        )
