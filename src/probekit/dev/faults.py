"""Faults to inject: typed, per feed or per endpoint. Tagged, so that the control route takes them as JSON."""

from __future__ import annotations

import msgspec


class Fault(msgspec.Struct, frozen=True, tag=True, tag_field="fault"):
    """Base of all faults."""


class FeedFault(Fault, frozen=True):
    """A fault of one feed, by its id."""

    feed: str


class StaleFeed(FeedFault, frozen=True):
    """Its message stays as it was when the fault came; it goes on being signed, as a dead publisher set's would."""


class WideConfidence(FeedFault, frozen=True):
    """Its conf is multiplied, in the signed bytes too."""

    factor: int = 200


class BadSignature(FeedFault, frozen=True):
    """One signature over its update is broken."""


class WrongQuorum(FeedFault, frozen=True):
    """Its update carries one signature too few."""


class WrongRoot(FeedFault, frozen=True):
    """Its update is signed by the other trust root's signers, under its own emitter."""


class ExpiredSet(FeedFault, frozen=True):
    """Its update is signed by the set before, which has expired."""


class BadProof(FeedFault, frozen=True):
    """One node of its Merkle proof is wrong."""


class ParsedMismatch(FeedFault, frozen=True):
    """Its parsed price contradicts its signed bytes."""


class Unentitled(FeedFault, frozen=True):
    """403 for any request that asks for it, naming it."""


class MissingFeed(FeedFault, frozen=True):
    """Answers of status 200 leave it out."""


class ConflictingData(FeedFault, frozen=True):
    """This endpoint serves another signed message than its peers for the same slot."""


class EndpointFault(Fault, frozen=True):
    """A fault of one endpoint's price routes and stream."""


class Slow(EndpointFault, frozen=True):
    """Every answer waits."""

    delay_ms: int = 1000


class Hang(EndpointFault, frozen=True):
    """No answer ever comes."""


class Unauthorized(EndpointFault, frozen=True):
    """401."""


class RateLimited(EndpointFault, frozen=True):
    """429 with Retry-After."""

    retry_after_s: int = 2


class ServerError(EndpointFault, frozen=True):
    """5xx."""

    status: int = 503


class MalformedJson(EndpointFault, frozen=True):
    """A body that breaks off in the middle of its JSON."""


class WrongContentType(EndpointFault, frozen=True):
    """A page of HTML, with status 200."""


class NanNumbers(EndpointFault, frozen=True):
    """NaN and numbers of absurd size where prices stand."""


class DuplicateIds(EndpointFault, frozen=True):
    """Every feed twice."""


class EndlessBody(EndpointFault, frozen=True):
    """A body that never ends."""


class HugeHeaders(EndpointFault, frozen=True):
    """Response headers far above any limit."""


class GzipBomb(EndpointFault, frozen=True):
    """A small compressed body that inflates without end."""


class CutStream(EndpointFault, frozen=True):
    """Streams break off in the middle of an event."""


class SilentStream(EndpointFault, frozen=True):
    """Open streams stay open and send nothing more; keep-alives go on unless ``keep_alive`` is false."""

    keep_alive: bool = True


class Lag(EndpointFault, frozen=True):
    """This endpoint serves what its peers served a while ago."""

    delay_ms: int = 10_000


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
