"""JSON of the guardians' public HTTP API: heartbeats, the guardian set in force, signed VAAs.

The API is a gRPC gateway: names are camelCase, 64-bit integers are strings, absent means zero or empty. Source: wormhole
``proto/publicrpc/v1/publicrpc.proto`` and ``proto/gossip/v1/gossip.proto``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from probekit.errors import DecodeError
from probekit.model.wormhole import ChainHeartbeat, GuardianSet, Heartbeat
from probekit.units import Instant

T = TypeVar("T")

_INT64: Final = 2**63
_MAX_GUARDIANS: Final = 255


class _Network(msgspec.Struct, rename="camel"):
    id: int
    height: int = 0
    safe_height: int = 0
    finalized_height: int = 0
    error_count: int = 0
    contract_address: str = ""


class _RawHeartbeat(msgspec.Struct, rename="camel"):
    node_name: str = ""
    counter: int = 0
    timestamp: int = 0
    boot_timestamp: int = 0
    version: str = ""
    guardian_addr: str = ""
    networks: list[msgspec.Raw] = []
    features: list[str] = []


class _Entry(msgspec.Struct, rename="camel"):
    raw_heartbeat: _RawHeartbeat
    verified_guardian_addr: str = ""


class _Entries(msgspec.Struct):
    entries: list[msgspec.Raw] = []


class _Set(msgspec.Struct):
    index: int = 0
    addresses: list[str] = []


class _SetAnswer(msgspec.Struct, rename="camel"):
    guardian_set: _Set


class _Signed(msgspec.Struct, rename="camel"):
    vaa_bytes: str


def decode_heartbeats(body: bytes) -> tuple[Heartbeat | DecodeError, ...]:
    """``/v1/heartbeats``: one item per guardian, each readable or its own ``DecodeError``. Raises ``DecodeError`` when the
    whole is none.
    """
    found = _decoded(body, _Entries, "heartbeats")
    items: list[Heartbeat | DecodeError] = []
    for raw in found.entries:
        try:
            items.append(_heartbeat(bytes(raw)))
        except DecodeError as error:
            items.append(error)
    return tuple(items)


def decode_guardian_set(body: bytes) -> GuardianSet:
    """``/v1/guardianset/current``. Raises ``DecodeError``."""
    found = _decoded(body, _SetAnswer, "a guardian set").guardian_set
    if not found.addresses or len(found.addresses) > _MAX_GUARDIANS or found.index < 0:
        raise DecodeError(f"a guardian set of {len(found.addresses)} with index {found.index}", raw=body)
    return GuardianSet(found.index, tuple(_address(text, body) for text in found.addresses))


def decode_signed_vaa(body: bytes) -> bytes:
    """``/v1/signed_vaa/...``: the VAA's bytes, nothing of them checked. Raises ``DecodeError``."""
    text = _decoded(body, _Signed, "a signed VAA").vaa_bytes
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError(f"a signed VAA that is not base64: {error}", raw=body) from None


def _heartbeat(body: bytes) -> Heartbeat:
    entry = _decoded(body, _Entry, "a heartbeat")
    raw = entry.raw_heartbeat
    _bounded((raw.counter, raw.timestamp, raw.boot_timestamp), body)
    return Heartbeat(
        guardian=_address(entry.verified_guardian_addr or raw.guardian_addr, body),
        node_name=raw.node_name[:200],
        counter=raw.counter,
        sent_at=Instant(raw.timestamp),
        booted_at=Instant(raw.boot_timestamp),
        version=raw.version[:200],
        networks=tuple(_network(bytes(network)) for network in raw.networks),
        features=tuple(raw.features),
    )


def _network(body: bytes) -> ChainHeartbeat | DecodeError:
    try:
        one = _decoded(body, _Network, "a chain of a heartbeat")
        numbers = (one.id, one.height, one.safe_height, one.finalized_height, one.error_count)
        _bounded(numbers, body)
    except DecodeError as error:
        return error
    return ChainHeartbeat(*numbers, one.contract_address[:200])


def _bounded(numbers: Iterable[int], body: bytes) -> None:
    if not all(-_INT64 <= number < _INT64 * 2 for number in numbers):
        raise DecodeError("a heartbeat with a number beyond 64 bits", raw=body)


def _address(text: str, body: bytes) -> bytes:
    digits = text.removeprefix("0x")
    try:
        if len(digits) == 40:
            return bytes.fromhex(digits)
    except ValueError:
        pass
    raise DecodeError(f"{text[:80]!r} is not a guardian's address", raw=body)


def _decoded(body: bytes, shape: type[T], what: str) -> T:
    try:
        # Not strict: the gateway writes 64-bit integers as strings.
        return msgspec.json.decode(body, type=shape, strict=False)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DecodeError(f"not {what}: {error}", raw=body) from None
