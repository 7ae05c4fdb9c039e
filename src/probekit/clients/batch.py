"""A batch of prices: every id asked for, in order, with its update or its own error."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from operator import attrgetter
from typing import cast

import msgspec

from probekit.codecs.hermes import Binary, PriceAnswer, encode_prices
from probekit.errors import DecodeError, Missing, ProbekitError, VerificationError
from probekit.model import FeedId, PriceUpdate
from probekit.trust import AttestedBytes, Trust
from probekit.units import Instant

# The attestation is the client's to give: it is no part of what the service sent, so the decoder cannot set it.
_attach = msgspec.structs.force_setattr
_id_of = attrgetter("id")


class Batch(Mapping[FeedId, PriceUpdate]):
    """id -> update, in the order asked for. An id without an update raises its own error when read; see :attr:`errors`.

    Iteration and ``len`` cover every id asked for, failed ones too; :attr:`updates` holds those that have a price. A feed that
    is served twice is its own ``DecodeError``, raised where every feed is. ``received_at`` is when the answer was here in full;
    ``unexpected`` counts feeds served that nobody asked for. ``of_the_past`` lets sets that were superseded since
    verify.
    """

    def __init__(
        self,
        ids: Sequence[FeedId],
        answers: Sequence[PriceAnswer],
        errors: Mapping[FeedId, ProbekitError],
        *,
        received_at: Instant,
        of_the_past: bool = False,
    ) -> None:
        self._ids = tuple(ids)
        self._answers = tuple(answers)
        self.received_at = received_at
        self.errors: dict[FeedId, ProbekitError] = dict(errors)
        served: list[PriceUpdate] = []
        for answer in answers:
            attested = AttestedBytes(answer.binary.decoded, accept_superseded=of_the_past)
            parsed = answer.parsed or ()
            # Hundreds of feeds pass here many times a second: these loops run in C.
            deque(map(_attach, parsed, repeat("attestation"), repeat(attested)), maxlen=0)
            served += parsed
        ids = tuple(map(_id_of, served))
        # Nearly every answer holds what was asked for and nothing else, in that order.
        self._as_asked = as_asked = ids == self._ids
        self._raw: dict[str, PriceUpdate] = dict(zip(self._ids if as_asked else ids, served, strict=True))
        if len(self._raw) != len(ids):
            self._refuse_twice()
        self._ordered: Sequence[PriceUpdate | None] = served if as_asked else list(map(self._raw.get, self._ids))
        self.unexpected = len(self._raw) - len(self._ids)
        if not as_asked and not all(self._ordered):
            for one, found in zip(self._ids, self._ordered, strict=True):
                if found is None:
                    self.unexpected += 1
                    if one not in self.errors:
                        self.errors[one] = Missing(f"the answer leaves out {one}", subject=one)

    def _refuse_twice(self) -> None:
        """Which of two prices of one feed is meant, nobody can say."""
        given: dict[str, list[PriceUpdate]] = {}
        for answer in self._answers:
            for update in answer.parsed or ():
                given.setdefault(update.id, []).append(update)
        twice = {one: updates for one, updates in given.items() if len(updates) > 1}
        errors = {one: DecodeError(f"{one} is given twice", raw=encode_prices(updates, ())) for one, updates in twice.items()}
        if len(twice) == len(given):
            raise next(iter(errors.values()))
        self.errors.update((one, errors[one]) for one in self._ids if one in errors)

    def __getitem__(self, feed_id: str) -> PriceUpdate:
        update = self._raw.get(feed_id)
        if update is None or feed_id in self.errors:
            error = self.errors.get(cast(FeedId, feed_id))
            if error is not None:
                raise error
            raise KeyError(feed_id)
        return update

    def __iter__(self) -> Iterator[FeedId]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    @cached_property
    def updates(self) -> dict[FeedId, PriceUpdate]:
        """The ids that have a price, in order."""
        if self._as_asked and not self.errors:
            return cast(dict[FeedId, PriceUpdate], self._raw.copy())
        pairs = zip(self._ids, self._ordered, strict=True)
        if not self.errors:
            return cast(dict[FeedId, PriceUpdate], dict(pairs))
        return {one: found for one, found in pairs if found is not None and one not in self.errors}

    @property
    def binary(self) -> tuple[Binary, ...]:
        """The signed parts, as text, one per request it took."""
        return tuple(answer.binary for answer in self._answers)

    def signed_bytes(self) -> tuple[bytes, ...]:
        """The raw accumulator updates of all answers. Raises ``DecodeError``."""
        return tuple(raw for answer in self._answers for raw in answer.binary.decoded())

    def verified(self, trust: Trust, *, at: Instant) -> Batch:
        """The batch as its signed bytes state it: what does not verify becomes that id's error."""
        proven = Batch((), (), {}, received_at=self.received_at)
        proven._ids, proven._answers = self._ids, self._answers
        proven.errors = dict(self.errors)
        proven.unexpected = self.unexpected
        for one in self._ids:
            if one in self.errors:
                continue
            try:
                proven._raw[one] = self[one].verified(trust, at=at)
            except (VerificationError, DecodeError) as error:
                proven.errors[one] = error
        proven._ordered = list(map(proven._raw.get, proven._ids))
        return proven


def unique(ids: Iterable[str]) -> list[FeedId]:
    """Ids in order, each once. Raises ``ValueError``."""
    return list(dict.fromkeys(FeedId(one) for one in ids))
