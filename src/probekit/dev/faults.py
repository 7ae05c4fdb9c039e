"""Faults to inject: typed, of one feed or of one endpoint. Each has a name of its own, by which the control route takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec


class Fault(msgspec.Struct, frozen=True, tag_field="fault"):
    """Base of all faults."""


class FeedFault(Fault, frozen=True):
    """A fault of one feed: by its id, or its symbol. Other feeds of the same answer stay as they are."""

    feed: str


class StaleFeed(FeedFault, frozen=True, tag="stale_feed"):
    """Its message stays as it was when the fault came; it goes on being signed, as that of a dead publisher set would."""


class WideConfidence(FeedFault, frozen=True, tag="wide_confidence"):
    """Its conf is multiplied, in the signed bytes too."""

    factor: int = 200


class BadSignature(FeedFault, frozen=True, tag="bad_signature"):
    """One signature over its update is broken."""


class WrongQuorum(FeedFault, frozen=True, tag="wrong_quorum"):
    """Its update carries one signature too few."""


class WrongRoot(FeedFault, frozen=True, tag="wrong_root"):
    """Its update confuses the two trust roots.

    ``signers``: the other root's signers under this root's emitter. ``emitter``: this root's signers under the other's emitter.
    ``both``: a genuine update of the other root, which only a trust in this one alone (``trust.only``) refuses.
    """

    confused: Literal["signers", "emitter", "both"] = "signers"


class ExpiredSet(FeedFault, frozen=True, tag="expired_set"):
    """Its update is signed by the set before, which has expired."""


class BadProof(FeedFault, frozen=True, tag="bad_proof"):
    """One node of its Merkle proof is wrong."""


class ParsedMismatch(FeedFault, frozen=True, tag="parsed_mismatch"):
    """Its parsed price contradicts its signed bytes, by 1 %."""


class Unentitled(FeedFault, frozen=True, tag="unentitled"):
    """403 for any request that asks for it, naming it. A stream opened before goes on."""


class MissingFeed(FeedFault, frozen=True, tag="missing_feed"):
    """Answers of status 200 leave it out, without a word."""


class ConflictingData(FeedFault, frozen=True, tag="conflicting_data"):
    """This endpoint serves another signed message than its peers for the same slot."""


class EndpointFault(Fault, frozen=True, kw_only=True):
    """A fault of one endpoint's price routes and stream; with ``everywhere`` of its metadata and health routes too."""

    everywhere: bool = False


class Slow(EndpointFault, frozen=True, tag="slow"):
    """Every answer waits."""

    delay_ms: int = 1000


class Hang(EndpointFault, frozen=True, tag="hang"):
    """No answer ever comes."""


class Unauthorized(EndpointFault, frozen=True, tag="unauthorized"):
    """401."""


class RateLimited(EndpointFault, frozen=True, tag="rate_limited"):
    """429 with Retry-After."""

    retry_after_s: int = 2


class ServerError(EndpointFault, frozen=True, tag="server_error"):
    """5xx."""

    status: int = 503


class NotReady(EndpointFault, frozen=True, tag="not_ready"):
    """``/ready`` answers 503 with its reasons; prices are served as before."""


class MalformedJson(EndpointFault, frozen=True, tag="malformed_json"):
    """A body, or a stream's event, that breaks off in the middle of its JSON."""


class WrongContentType(EndpointFault, frozen=True, tag="wrong_content_type"):
    """A page of HTML, with status 200."""


class NanNumbers(EndpointFault, frozen=True, tag="nan_numbers"):
    """NaN and numbers of absurd size where prices stand."""


class DuplicateIds(EndpointFault, frozen=True, tag="duplicate_ids"):
    """Every parsed feed twice."""


class EndlessBody(EndpointFault, frozen=True, tag="endless_body"):
    """A body, or a stream's event, that never ends."""


class HugeHeaders(EndpointFault, frozen=True, tag="huge_headers"):
    """Response headers of 160 kB."""


class GzipBomb(EndpointFault, frozen=True, tag="gzip_bomb"):
    """A compressed body of a quarter of a megabyte that inflates to 256 MiB."""


class CutStream(EndpointFault, frozen=True, tag="cut_stream"):
    """Streams break off in the middle of an event."""


class SilentStream(EndpointFault, frozen=True, tag="silent_stream"):
    """Open streams stay open and send nothing more; keep-alives go on unless ``keep_alive`` is false."""

    keep_alive: bool = True


class Lag(EndpointFault, frozen=True, tag="lag"):
    """This endpoint serves what its peers served a while ago. An open stream pauses that long, as slots never run backwards."""

    delay_ms: int = 10_000


ContentFault = StaleFeed | WideConfidence
"""Faults of what is signed: the same at every endpoint of a network."""

SignedFault = BadSignature | WrongQuorum | WrongRoot | ExpiredSet | BadProof | ConflictingData
"""Faults of an update's bytes: a feed with one is served in an update of its own, so that its neighbours' stay sound."""

AnyFault = (
    StaleFeed
    | WideConfidence
    | BadSignature
    | WrongQuorum
    | WrongRoot
    | ExpiredSet
    | BadProof
    | ParsedMismatch
    | Unentitled
    | MissingFeed
    | ConflictingData
    | Slow
    | Hang
    | Unauthorized
    | RateLimited
    | ServerError
    | NotReady
    | MalformedJson
    | WrongContentType
    | NanNumbers
    | DuplicateIds
    | EndlessBody
    | HugeHeaders
    | GzipBomb
    | CutStream
    | SilentStream
    | Lag
)


class Injected:
    """A fault that is on. :meth:`clear` (or calling it) takes it off; clearing twice does nothing."""

    __slots__ = ("_on_clear", "fault", "id")

    def __init__(self, number: int, fault: Fault, on_clear: Callable[[Injected], None]) -> None:
        self.id = number
        self.fault = fault
        self._on_clear: Callable[[Injected], None] | None = on_clear

    @property
    def active(self) -> bool:
        """Whether it has not been cleared yet."""
        return self._on_clear is not None

    def clear(self) -> None:
        """Take the fault off."""
        if self._on_clear is not None:
            on_clear, self._on_clear = self._on_clear, None
            on_clear(self)

    __call__ = clear

    @contextmanager
    def during(self) -> Iterator[Fault]:
        """``with sandbox.inject(fault).during():`` clears at the end of the block."""
        try:
            yield self.fault
        finally:
            self.clear()

    def __repr__(self) -> str:
        return f"<{'on' if self.active else 'cleared'}: {self.fault}>"
