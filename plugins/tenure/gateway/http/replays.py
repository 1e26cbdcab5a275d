"""A request that is sent again gets the decision that was made, not another one."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenure.gateway.contract.answers import Answer
from tenure.gateway.contract.refusals import Refusal

Key = tuple[str, str, str]
"""Client, model and the client's request id: ids of different clients never meet, and those of one
client do when its key is another one since."""

_SECONDS = 120.0
_BYTES = 32 * 1024 * 1024
_OVERHEAD = 1_300
"""Bytes that a kept answer takes beside its body: headers, key, future."""
_REPLAYED = (b"x-tenure-replayed", b"true")


@dataclass
class _Kept:
    digest: bytes
    answer: "asyncio.Future[Answer]"
    at: float
    size: int = 0


class Replays:
    """Answers of the last two minutes by request id, up to a number of bytes.

    They live in this process: another gateway, and this one after a restart, decides anew. So a
    client that must know sends the id with each try to the same gateway, or compares
    `decision_ids`.

    Args:
        monotonic: The clock.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._size = 0

    async def once(
        self, key: Key, digest: bytes, decide: Callable[[], Awaitable[Answer]]
    ) -> tuple[Answer, bool]:
        """The answer to a request, and whether it was made before.

        A request that comes while its twin is being decided waits for it. What was refused is
        forgotten, so that it can be tried again.

        Raises:
            Refusal: 409 when the id stood with other content before; what `decide` raises.
        """
        kept = self._kept.get(key)
        if kept is not None and self._monotonic() - kept.at <= _SECONDS:
            if kept.digest != digest:
                message = f"The id {key[2][:80]!r} stood with other content before."
                raise Refusal(409, "request_id_reused", message, "id")
            return (await asyncio.shield(kept.answer)).with_header(_REPLAYED), True
        return await self._first(key, digest, decide), False

    async def _first(
        self, key: Key, digest: bytes, decide: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        if (old := self._kept.get(key)) is not None:
            self._forget(key, old)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._kept[key] = kept = _Kept(digest, future, self._monotonic())
        try:
            answer = await decide()
        except BaseException as error:
            self._forget(key, kept)
            # A twin that waits hears the same; without one nobody asks, and asyncio stays silent.
            future.set_exception(error if isinstance(error, Refusal) else _failed())
            future.exception()
            raise
        future.set_result(answer)
        if self._kept.get(key) is kept:
            kept.size = len(answer.body) + _OVERHEAD
            self._size += kept.size
            self._make_room()
        return answer

    def _make_room(self) -> None:
        """Let go of the oldest: those that no longer count, and more when there are too many.

        Not of one that is being decided: its twin has to find it.
        """
        expired = self._monotonic() - _SECONDS
        size = self._size
        going: list[tuple[Key, _Kept]] = []
        for key, kept in self._kept.items():
            if size <= _BYTES and kept.at >= expired:
                break
            if kept.answer.done():
                going.append((key, kept))
                size -= kept.size
        for key, kept in going:
            self._forget(key, kept)

    def _forget(self, key: Key, kept: _Kept) -> None:
        """Unless another one took its place."""
        if self._kept.get(key) is kept:
            del self._kept[key]
            self._size -= kept.size


def _failed() -> Refusal:
    return Refusal(503, "interrupted", "The first request with this id was interrupted.", "id")
