"""A channel of alerts that Apprise knows: chat, mail, phone."""

import logging
from collections.abc import Mapping

import apprise

from tenure.errors import ConfigInvalid, ServiceUnreachable

TIMEOUT_SECONDS = 10
"""For one message; the row of it stays locked meanwhile."""
_STAYS = "The alert stays in the outbox; `maintain_platform` sends it again."


class AppriseChannel:
    """Sends to one Apprise URL.

    Args:
        name: Of the channel, for people.
        url: It may hold a secret and is never shown.
    """

    def __init__(self, name: str, url: str) -> None:
        self._name, self._url = name, url

    def send(self, body: Mapping[str, object], *, message_id: str) -> None:
        """Hand over title and text of one alert, which ends with its id.

        Raises:
            ConfigInvalid: No service of Apprise has such a URL.
            ServiceUnreachable: The service did not take it in time.
        """
        for name in ("apprise", "urllib3"):  # what they log may hold the address
            logging.getLogger(name).setLevel(logging.CRITICAL)
        asset = apprise.AppriseAsset(service_timeout=TIMEOUT_SECONDS, async_mode=False)
        channel = apprise.Apprise(asset=asset)
        if not channel.add(self._url):
            raise ConfigInvalid(
                f"The variable of the alert channel {self._name} holds no URL that Apprise knows.",
                still_safe=_STAYS,
                next_step="Set it to one URL, as Apprise's documentation spells it.",
            )
        text = f"{body['text']}\n\nMessage {message_id}"
        if not channel.notify(title=str(body["title"]), body=text, body_format="text"):
            raise ServiceUnreachable(
                f"The alert channel {self._name} did not take the message.",
                still_safe=_STAYS,
                next_step="Nothing at first. If it lasts, ask the owner of the service.",
            )
