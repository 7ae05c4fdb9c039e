"""One question about many feeds, where a service refuses it whole for one of them: halves are asked until the ones are found.

The words of a refusal are no part of what the service promises, so that its status alone is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from typing import Final

from probekit.codecs.lazer.messages import PriceRequest
from probekit.errors import DecodeError, NotEntitled, NotFound, ProbekitError, StatusError, TransportError, Unauthorized
from probekit.model.lazer import LazerUpdate

Ask = Callable[[PriceRequest], Awaitable[LazerUpdate]]

_OF_ONE_FEED: Final = (400, 403, 404)
"""Statuses that one feed of many may cause."""
_REQUESTS: Final = 64
"""At most so many, however many feeds are refused; those that were not told apart then share a refusal."""


class Isolation:
    """``answers`` are (feeds asked for, update) pairs. One question, asked once."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.answers: list[tuple[Sequence[int], LazerUpdate]] = []
        self._refusals: dict[int, tuple[StatusError, int]] = {}
        """Why each feed was refused, and how many were refused together."""
        self._failures: dict[int, ProbekitError] = {}
        """What became of those whose part of the question failed in another way."""

    async def run(self, request: PriceRequest) -> dict[int, ProbekitError]:
        """The errors of those feeds that were not answered. Where none was, raises what is about all of them: a failure,
        ``Unauthorized`` for 403 on several feeds, the service's own words for 400 on everything.
        """
        await self._halve(request)
        if not self.answers:
            for failure in self._failures.values():
                raise failure
            first, _ = next(iter(self._refusals.values()))
            if first.status == 400:
                raise first
            if first.status == 403 and len(request.feeds) > 1:
                raise Unauthorized(first.message, status=403, body=first.body, url=first.url) from first
        return self._failures | {feed_id: _error_of(feed_id, *refusal) for feed_id, refusal in self._refusals.items()}

    async def _halve(self, request: PriceRequest) -> None:
        # Large parts first: where there is not enough for all, most feeds are answered with the least.
        ids = [feed for feed in request.feeds if isinstance(feed, int)]
        waiting: deque[tuple[list[int], StatusError | None]] = deque([(ids, None)])
        left = _REQUESTS
        while waiting:
            ids, refusal = waiting.popleft()
            if not left and refusal is not None:
                self._refusals.update(dict.fromkeys(ids, (refusal, len(ids))))
                continue
            left -= 1
            try:
                self.answers.append((ids, await self._ask(request.with_feeds(ids))))
            except DecodeError as error:
                self._failures.update({feed_id: copy(error) for feed_id in ids})
            except TransportError as error:
                if not isinstance(error, StatusError) or error.status not in _OF_ONE_FEED:
                    # The service's state, or the time that is over: no part of the question fares better.
                    rest = [feed_id for part, _ in waiting for feed_id in part]
                    self._failures.update({feed_id: copy(error) for feed_id in (*ids, *rest)})
                    return
                if len(ids) == 1:
                    self._refusals[ids[0]] = (error, 1)
                    continue
                middle = len(ids) // 2
                waiting += [(ids[:middle], error), (ids[middle:], error)]


def _error_of(feed_id: int, error: StatusError, together: int) -> ProbekitError:
    text = f"feed {feed_id}: {error.message}"
    if together > 1:
        text += f" (one of {together}, not told apart)"
        return StatusError(text, status=error.status, body=error.body, url=error.url)
    if error.status == 403:
        return NotEntitled(text, subject=str(feed_id), body=error.body, url=error.url)
    if error.status == 404:
        return NotFound(text, subject=str(feed_id))
    return StatusError(text, status=error.status, body=error.body, url=error.url)
