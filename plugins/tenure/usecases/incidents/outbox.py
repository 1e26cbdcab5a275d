"""Delivers what the outbox promised: at least once, one message at a time, never in the way."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.lifecycle.incidents.webhook import FROM_ENVIRONMENT
from tenure.usecases.incidents.close_incident import close_incident, close_item
from tenure.usecases.incidents.one_by_one import cause_of, set_aside
from tenure.usecases.incidents.open_incident import dedupe_key, open_incident, words_of
from tenure.vocabulary import storable

if TYPE_CHECKING:
    from tenure.adapters.sql.outbox import Message
    from tenure.adapters.webhook import Webhook


_log = logging.getLogger("tenure.outbox")


@dataclass(frozen=True)
class Delivery:
    """How many messages were taken, had no receiver, or must be sent again."""

    delivered: int = 0
    failed: int = 0


def deliver(
    platform: Installation, *, topic: str | None = None, env: Mapping[str, str] | None = None
) -> Delivery:
    """Send every pending message once; what fails stays pending, with an incident while it does.

    Alerts are not among them: `alerts.deliver_alerts` sends those.

    A message goes to the `webhook` of its body (a URL, or `env:NAME`); one without a webhook is
    for nobody outside and counts as delivered.
    """
    from tenure.adapters.sql import outbox
    from tenure.adapters.webhook import Webhook

    webhook = Webhook(platform.config.webhook_hosts)
    with platform.database.begin() as connection:
        waiting = outbox.pending(connection, topic=topic)
    return _send_all(platform, webhook, waiting, env)


def waiting_at(platform: Installation, key: str) -> "list[Message]":
    """Messages that wait for the receiver of an incident, oldest first."""
    from tenure.adapters.sql import outbox

    with platform.database.begin() as connection:
        return [one for one in outbox.waiting(connection) if _key(one) == key]


def deliver_at(
    platform: Installation, key: str, *, env: Mapping[str, str] | None = None
) -> Delivery:
    """Send what waits for the receiver of an incident once more, as `deliver` does."""
    from tenure.adapters.webhook import Webhook

    webhook = Webhook(platform.config.webhook_hosts)
    return _send_all(platform, webhook, [one.id for one in waiting_at(platform, key)], env)


def _send_all(
    platform: Installation,
    webhook: "Webhook",
    waiting: Sequence[int],
    env: Mapping[str, str] | None,
) -> Delivery:
    done = [_tried(platform, webhook, one, os.environ if env is None else env) for one in waiting]
    return Delivery(delivered=done.count(True), failed=done.count(False))


def _tried(
    platform: Installation, webhook: "Webhook", message_id: int, env: Mapping[str, str]
) -> bool | None:
    """As `_one`; whatever is wrong about this message, the others go on."""
    try:
        done = _one(platform, webhook, message_id, env)
    except _NotTaken as error:
        _report(platform, error.message, error.cause)
        return False
    except Exception as error:
        set_aside(platform, "outbox", f"message {message_id}", error)
        return False
    if done:
        close_incident(platform, f"outbox:message {message_id}")
    return done


class _NotTaken(Exception):
    """A receiver did not take a message."""

    def __init__(self, message: "Message", cause: Exception) -> None:
        super().__init__(str(cause))
        self.message, self.cause = message, cause


def _report(platform: Installation, message: "Message", error: Exception) -> None:
    """All that one receiver does not take is one incident; its members are the messages."""
    place = _receiver(message)
    cause = cause_of(error)
    _log.error("undelivered receiver=%s message=%s cause=%s", place, message.id, cause)
    open_incident(
        platform,
        _key(message),
        type(error).__name__,
        place,
        f"Messages to {place} are not taken: {cause}",
        member=f"message {message.id}",
        facts=words_of(error),
    )


def _key(message: "Message") -> str:
    return dedupe_key(f"outbox:{_receiver(message)}")


def _receiver(message: "Message") -> str:
    """The consumer, and host or variable of its address, whose path may hold a secret."""
    address = str(message.body.get("webhook"))
    place = address
    if not address.startswith(FROM_ENVIRONMENT):
        try:
            place = urlsplit(address).netloc.rpartition("@")[2] or "an address without a host"
        except ValueError:
            place = "an address that cannot be read"
    consumer = message.body.get("consumer")
    return f"{consumer} at {place}" if consumer else place


def _one(
    platform: Installation, webhook: "Webhook", message_id: int, env: Mapping[str, str]
) -> bool | None:
    """True when it was delivered; None when another process has it.

    The row stays locked while the receiver is asked, so that two senders never ask at once.

    Raises:
        _NotTaken: The receiver did not take it, which the row says.
    """
    from tenure.adapters.sql import outbox

    failure: Exception | None = None
    with platform.database.begin() as connection:
        message = outbox.claim(connection, message_id)
        if message is None:
            return None
        try:
            _send(webhook, message, env)
        except Exception as error:  # about this message: the others go on
            outbox.failed(connection, message_id, error=storable(cause_of(error)))
            failure = error
        else:
            now = platform.clock.now()
            outbox.delivered(connection, message_id, at=now)
            close_item(connection, _key(message), f"message {message_id}", now)
    if failure is not None:
        raise _NotTaken(message, failure)
    return True


def _send(webhook: "Webhook", message: "Message", env: Mapping[str, str]) -> None:
    address = message.body.get("webhook")
    if not address:
        return
    body: dict[str, object] = {k: v for k, v in message.body.items() if k != "webhook"}
    body |= {"topic": message.topic, "message_id": message.op_key}
    webhook.post(_resolve(str(address), env), body, message_id=message.op_key)


def _resolve(address: str, env: Mapping[str, str]) -> str:
    if not address.startswith(FROM_ENVIRONMENT):
        return address
    name = address.removeprefix(FROM_ENVIRONMENT)
    if not env.get(name):
        raise ConfigInvalid(
            f"The environment variable {name}, which a webhook names, is not set.",
            still_safe="The notice stays in the outbox and is sent when the variable is set.",
            next_step=f"Set {name} for the scheduler, or correct the consumer in the model's YAML.",
        )
    return env[name]
