"""A batch of prices: every id asked for, in order, with its update or its own error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import cast

import msgspec

from probekit.codecs.hermes import Binary, PriceAnswer
from probekit.errors import DecodeError, Missing, ProbekitError, VerificationError
from probekit.model import FeedId, PriceUpdate
from probekit.trust import AttestedBytes, Trust
from probekit.units import Instant


class Batch(Mapping[FeedId, PriceUpdate]):
    """id -> update, in the order asked for. An id without an update raises its own error when read; see :attr:`errors`.

    Iteration and ``len`` cover every id asked for, failed ones too; :attr:`updates` holds those that have a price.
    ``received_at`` is when the answer was here in full. ``unexpected`` counts feeds served that nobody asked for.
    """

    def __init__(
        self,
        ids: Sequence[FeedId],
        answers: Sequence[PriceAnswer],
        errors: Mapping[FeedId, ProbekitError],
        *,
        received_at: Instant,
    ) -> None:
        self._ids = tuple(ids)
        self._answers = tuple(answers)
        self.received_at = received_at
        self.errors: dict[FeedId, ProbekitError] = dict(errors)
        self._raw: dict[str, PriceUpdate] = {}
        self._attested: dict[str, AttestedBytes] = {}
        for answer in answers:
            attested = AttestedBytes(answer.binary.decoded)
            for update in answer.parsed or ():
                self._raw[update.id] = update
                self._attested[update.id] = attested
        wanted = set(self._ids)
        self.unexpected = sum(1 for one in self._raw if one not in wanted)
        for one in self._ids:
            if one not in self._raw and one not in self.errors:
                self.errors[one] = Missing(f"the answer leaves out {one}", subject=one)

    def __getitem__(self, feed_id: str) -> PriceUpdate:
        update = self._raw.get(feed_id)
        if update is None or feed_id in self.errors:
            error = self.errors.get(cast(FeedId, feed_id))
            if error is not None:
                raise error
            raise KeyError(feed_id)
        if update.attestation is None:
            # Done on reading: most readers of a large batch never ask for proof.
            msgspec.structs.force_setattr(update, "attestation", self._attested[feed_id])
        return update

    def __iter__(self) -> Iterator[FeedId]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    @cached_property
    def updates(self) -> dict[FeedId, PriceUpdate]:
        """The ids that have a price, in order."""
        return {one: self[one] for one in self._ids if one not in self.errors}

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
        return proven
