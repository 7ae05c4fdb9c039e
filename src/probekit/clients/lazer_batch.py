"""A batch of Pyth Pro prices: every feed asked for, in order, with its values or its own error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy

from probekit.codecs.lazer import envelope
from probekit.errors import DecodeError, Missing, ProbekitError
from probekit.model.lazer import Envelope, FeedFreshness, FeedValues, LazerPayload, LazerUpdate, VerifiedPayload
from probekit.trust.lazer import LazerSigners, verify_update
from probekit.units import Instant


def payload_of(update: LazerUpdate) -> LazerPayload:
    """What an update says: its parsed part, else its first binary form. Proves nothing. Raises ``DecodeError``."""
    if isinstance(update.parsed, LazerPayload):
        return update.parsed
    problem = update.parsed
    for part in update.binary.values():
        if isinstance(part, Envelope):
            return envelope.content(part)
        problem = problem or part
    raise problem or DecodeError("an update without any part", raw=b"")


class LazerBatch(Mapping[int, FeedValues]):
    """feed id -> values, in the order asked for. A feed without values raises its own error when read; see :attr:`errors`.

    Iteration and ``len`` cover every feed asked for, failed ones too; :attr:`values_by_id` holds those that were answered.
    Where ``signers`` are given the values are those of the signed bytes, and an update that does not verify fails its feeds.
    ``updates`` are the answers it took, ``proofs`` who signed each of them. ``received_at`` is when they were here in full.
    """

    def __init__(
        self,
        ids: Sequence[int],
        answers: Sequence[tuple[Sequence[int], LazerUpdate]],
        errors: Mapping[int, ProbekitError],
        *,
        received_at: Instant,
        signers: LazerSigners | None = None,
    ) -> None:
        self._ids = tuple(ids)
        self.errors: dict[int, ProbekitError] = dict(errors)
        self.updates = tuple(update for _, update in answers)
        self.proofs: tuple[VerifiedPayload, ...] = ()
        self.received_at = received_at
        self._found: dict[int, tuple[FeedValues, LazerPayload]] = {}
        for asked, update in answers:
            self._take(asked, update, signers)

    def _take(self, asked: Sequence[int], update: LazerUpdate, signers: LazerSigners | None) -> None:
        try:
            if signers is None:
                payload = payload_of(update)
            else:
                proof = verify_update(update, signers, at=self.received_at)
                self.proofs += (proof,)
                payload = proof.payload
        except ProbekitError as error:
            # Its own for each: a raise adds its frames to an error.
            self.errors.update({feed_id: copy(error) for feed_id in asked})
            return
        values = payload.by_id
        unread = [feed for feed in payload.feeds if isinstance(feed, DecodeError)]
        for feed_id in asked:
            if feed_id in values:
                self._found[feed_id] = (values[feed_id], payload)
            elif unread or payload.unread:
                why = unread[0] if unread else DecodeError(payload.unread_why, raw=payload.unread)
                self.errors[feed_id] = DecodeError(f"feed {feed_id} is not among those that read: {why.message}", raw=why.raw)
            else:
                self.errors[feed_id] = Missing(f"the answer leaves out feed {feed_id}", subject=str(feed_id))

    def __getitem__(self, feed_id: int) -> FeedValues:
        return self._of(feed_id)[0]

    def _of(self, feed_id: int) -> tuple[FeedValues, LazerPayload]:
        found = self._found.get(feed_id)
        if found is None:
            if feed_id in self.errors:
                raise self.errors[feed_id]
            raise KeyError(feed_id)
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def values_by_id(self) -> dict[int, FeedValues]:
        """The feeds that were answered, in order."""
        return {feed_id: self._found[feed_id][0] for feed_id in self._ids if feed_id in self._found}

    def timestamp(self, feed_id: int) -> Instant:
        """Of the update that the feed came in. Raises the feed's error."""
        return self._of(feed_id)[1].timestamp

    def freshness(self, feed_id: int, *, at: Instant | None = None) -> FeedFreshness:
        """How alive the feed is, when the answer was here or at ``at``. Raises the feed's error."""
        values, payload = self._of(feed_id)
        return values.freshness(payload.timestamp_us, at=at or self.received_at)
