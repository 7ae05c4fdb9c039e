"""JSON of fortuna, the service that reveals Entropy's random numbers: chains, revelations, its log, the words of its errors.

Source: pyth-crosschain ``apps/fortuna/src/{api.rs,api/*.rs,history.rs}``.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from probekit.errors import DecodeError
from probekit.model.evm import Address
from probekit.model.fortuna import (
    FortunaChain,
    FortunaCompleted,
    FortunaFailed,
    FortunaPending,
    FortunaRequest,
    RevelationRefusal,
)
from probekit.units import Instant

T = TypeVar("T")

Encoding = Literal["hex", "base64", "array"]
_Unsigned = Annotated[int, msgspec.Meta(ge=0)]
_MAX_ROWS: Final = 10_000
_HASH: Final = re.compile(r"0x[0-9a-f]{64}")
_URI: Final = re.compile(r"(https?://\S+)/v1/chains/([^/\s]+)/?")
_REFUSALS: Final = (
    ("needs additional confirmations", RevelationRefusal.NEEDS_CONFIRMATIONS),
    ("has not been made yet, or the random value has already been revealed", RevelationRefusal.NOT_PENDING),
)
UNKNOWN_CHAIN: Final = "chain id is not supported"
BAD_SEQUENCE: Final = "sequence number is out of the permitted range"
"""Parts of what a status of 400 says."""


class _Config(msgspec.Struct):
    name: str
    network_id: _Unsigned
    contract_addr: str
    reveal_delay_blocks: _Unsigned
    gas_limit: _Unsigned
    default_fee: _Unsigned


class _Value(msgspec.Struct):
    encoding: str
    data: str | list[int]


class _Revelation(msgspec.Struct):
    value: _Value


class _State(msgspec.Struct):
    state: str
    reveal_block_number: _Unsigned | None = None
    reveal_tx_hash: str = ""
    provider_random_number: str | None = None
    combined_random_number: str = ""
    gas_used: _Unsigned | None = None
    callback_failed: bool = False
    callback_return_value: str = "0x"
    callback_gas_used: _Unsigned | None = None
    reason: str = ""


class _Row(msgspec.Struct):
    chain_id: str
    network_id: _Unsigned
    provider: str
    sequence: _Unsigned
    created_at: str
    last_updated_at: str
    request_block_number: _Unsigned
    request_tx_hash: str
    gas_limit: _Unsigned
    user_random_number: str
    sender: str
    state: _State


class _Logs(msgspec.Struct):
    requests: list[msgspec.Raw]
    total_results: _Unsigned


def decode_chains(body: bytes) -> tuple[str, ...]:
    """``/v1/chains``: names. Raises ``DecodeError``."""
    return tuple(_decoded(body, list[str], "a list of chains"))


def decode_configs(body: bytes) -> tuple[FortunaChain | DecodeError, ...]:
    """``/v1/chains/configs``: each chain, or its own ``DecodeError``. Raises ``DecodeError`` when the whole is none."""
    rows = _decoded(body, list[msgspec.Raw], "a list of chains")
    return tuple(_each(bytes(row), _config) for row in _bounded(rows, body))


def decode_revelation(body: bytes) -> bytes:
    """``/v1/chains/{chain}/revelations/{sequence}``: the 32 bytes, in any of the three encodings. Raises ``DecodeError``."""
    found = _decoded(body, _Revelation, "a revelation").value
    try:
        value = _unpacked(found)
    except (ValueError, binascii.Error) as error:
        raise DecodeError(f"a revelation that is not {found.encoding[:20]}: {error}", raw=body) from None
    if len(value) != 32:
        raise DecodeError(f"a revelation of {len(value)} bytes, not 32", raw=body)
    return value


def encode_revelation(value: bytes, encoding: Encoding = "hex") -> bytes:
    """The answer with a revelation."""
    data: Any = {"hex": value.hex(), "base64": base64.b64encode(value).decode(), "array": list(value)}[encoding]
    return msgspec.json.encode({"value": {"encoding": encoding, "data": data}})


def refusal_of(body: str) -> RevelationRefusal | None:
    """Why a revelation is refused, from the text of a 403; ``None`` where the text is none of the service's."""
    return next((refusal for words, refusal in _REFUSALS if words in body), None)


def decode_logs(body: bytes) -> tuple[tuple[FortunaRequest | DecodeError, ...], int]:
    """``/v1/logs``: each request readable, or its own ``DecodeError``; and how many the query finds in all. Raises
    ``DecodeError`` when the whole is none.
    """
    found = _decoded(body, _Logs, "a log of requests")
    return tuple(_each(bytes(row), _request) for row in _bounded(found.requests, body)), found.total_results


def service_of(uri: bytes) -> tuple[str, str]:
    """Base URL of the service and its name of the chain, from a provider's ``uri``. Whoever registers writes it: check the host
    before asking it anything. Raises ``DecodeError``.
    """
    try:
        found = _URI.fullmatch(uri.decode())
    except UnicodeDecodeError:
        found = None
    if found is None:
        raise DecodeError("a provider's uri that is not {base}/v1/chains/{chain}", raw=uri)
    return found[1], found[2]


def _config(body: bytes) -> FortunaChain:
    raw = _decoded(body, _Config, "a chain's configuration")
    network = raw.network_id or None
    return FortunaChain(
        raw.name, network, _address(raw.contract_addr, body), raw.reveal_delay_blocks, raw.gas_limit, raw.default_fee
    )


def _request(body: bytes) -> FortunaRequest:
    raw = _decoded(body, _Row, "a request")
    return FortunaRequest(
        chain=raw.chain_id,
        network_id=raw.network_id,
        provider=_address(raw.provider, body),
        sequence=raw.sequence,
        created_at=_instant(raw.created_at, body),
        last_updated_at=_instant(raw.last_updated_at, body),
        request_block=raw.request_block_number,
        request_transaction=_hash(raw.request_tx_hash, body),
        gas_limit=raw.gas_limit,
        user_contribution=_32(raw.user_random_number, body),
        sender=_address(raw.sender, body),
        outcome=_outcome(raw.state, body),
    )


def _outcome(raw: _State, body: bytes) -> FortunaPending | FortunaCompleted | FortunaFailed:
    contribution = None if raw.provider_random_number is None else _32(raw.provider_random_number, body)
    match raw.state:
        case "pending":
            return FortunaPending()
        case "failed":
            return FortunaFailed(raw.reason[:2_000], contribution)
        case "completed" if raw.reveal_block_number is not None and contribution is not None and raw.gas_used is not None:
            return FortunaCompleted(
                raw.reveal_block_number,
                _hash(raw.reveal_tx_hash, body),
                contribution,
                _32(raw.combined_random_number, body),
                raw.gas_used,
                raw.callback_failed,
                _hex(raw.callback_return_value, body),
                raw.callback_gas_used,
            )
    raise DecodeError(f"a request in state {raw.state[:40]!r}, or without what that state has", raw=body)


def _each(body: bytes, decode: Any) -> Any:
    try:
        return decode(body)
    except DecodeError as error:
        return error


def _bounded(rows: list[msgspec.Raw], body: bytes) -> list[msgspec.Raw]:
    if len(rows) > _MAX_ROWS:
        raise DecodeError(f"{len(rows)} rows", raw=body)
    return rows


def _unpacked(found: _Value) -> bytes:
    match found.encoding, found.data:
        case "hex", str(text):
            return bytes.fromhex(text)
        case "base64", str(text):
            return base64.b64decode(text, validate=True)
        case "array", list(numbers):
            return bytes(numbers)
    raise ValueError("another encoding than hex, base64 and array")


def _hex(text: str, body: bytes) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise DecodeError(f"{text[:80]!r} is not hex", raw=body) from None


def _32(text: str, body: bytes) -> bytes:
    value = _hex(text, body)
    if len(value) != 32:
        raise DecodeError(f"{len(value)} bytes where 32 are due", raw=body)
    return value


def _hash(text: str, body: bytes) -> str:
    if _HASH.fullmatch(text.lower()) is None:
        raise DecodeError(f"{text[:80]!r} is not a transaction's hash", raw=body)
    return text.lower()


def _address(text: str, body: bytes) -> Address:
    try:
        return Address(text.lower())
    except ValueError:
        raise DecodeError(f"{text[:80]!r} is not an address", raw=body) from None


def _instant(text: str, body: bytes) -> Instant:
    try:
        return Instant.parse(text)
    except ValueError:
        raise DecodeError(f"{text[:80]!r} is not a time with its offset", raw=body) from None


def _decoded(body: bytes, shape: type[T], what: str) -> T:
    try:
        # Not strict: amounts beyond 64 bits, and some others, are written as strings.
        return msgspec.json.decode(body, type=shape, strict=False)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DecodeError(f"not {what}: {error}", raw=body) from None
