"""Accounts as a node shows them: encodings, data slices, and the filters of getProgramAccounts.

Source: Agave's ``account-decoder`` and ``rpc-client-types`` (``UiAccount``, ``RpcFilterType``).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from solders.account import Account
from solders.pubkey import Pubkey

from probekit.dev.svm import params, tokens
from probekit.dev.svm.params import BadEncoding, Config, decode58, decode64
from probekit.dev.svm.words import INVALID_REQUEST, Refusal, invalid_params
from probekit.model.pubkey import base58

ENCODINGS: Final = ("binary", "base58", "base64", "jsonParsed", "base64+zstd")
MAX_BASE58_BYTES: Final = 128
MAX_FILTERS: Final = 4
_MAX_MEMCMP: Final = 128
_MAX_MEMCMP_BASE58: Final = 175
_MAX_MEMCMP_BASE64: Final = 172
_ZSTD_BLOCK: Final = 1 << 17

GetAccount = Callable[[Pubkey], Account | None]


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of an account's data, cut to what there is."""

    offset: int
    length: int

    def of(self, data: bytes) -> bytes:
        """The part."""
        return data[self.offset : self.offset + self.length]


def data_slice(config: Config) -> Slice | None:
    """``dataSlice`` of a configuration."""
    value = config.get("dataSlice")
    if value is None:
        return None
    inner = Config(value, "UiDataSliceConfig")
    offset, length = inner.number("offset", "usize"), inner.number("length", "usize")
    if offset is None or length is None:
        missing = "offset" if offset is None else "length"
        raise invalid_params(f"Invalid params: missing field `{missing}`.")
    return Slice(offset, length)


def ui_account(
    account: Account, encoding: str, cut: Slice | None = None, get_account: GetAccount | None = None, *, strict: bool = True
) -> dict[str, Any]:
    """The UiAccount object.

    ``jsonParsed`` knows token accounts and mints, given ``get_account`` for their mints; anything else falls back to base64, as
    a node does for programs that it has no parser for. Base58 of more than 128 bytes is refused; with ``strict`` off (in
    notifications) the data says so instead.
    """
    raw = bytes(account.data)
    data: Any
    if encoding == "jsonParsed":
        data = None if get_account is None else _parsed(account, get_account)
        data = data or [base64.b64encode(raw if cut is None else cut.of(raw)).decode(), "base64"]
    else:
        shown = raw if cut is None else cut.of(raw)
        if encoding in ("binary", "base58") and len(shown) > MAX_BASE58_BYTES:
            if strict:
                message = (
                    f"Encoded binary (base 58) data should be less than {MAX_BASE58_BYTES} bytes, please use Base64 encoding."
                )
                raise Refusal(INVALID_REQUEST, message)
            text = "error: data too large for bs58 encoding"
        elif encoding in ("binary", "base58"):
            text = base58(shown)
        elif encoding == "base64":
            text = base64.b64encode(shown).decode()
        else:
            text = base64.b64encode(zstd_frame(shown)).decode()
        # The oldest encoding is a bare string; clients tell it by that.
        data = text if encoding == "binary" else [text, encoding]
    return {
        "lamports": account.lamports,
        "data": data,
        "owner": str(account.owner),
        "executable": account.executable,
        "rentEpoch": account.rent_epoch,
        "space": len(raw),
    }


def _parsed(account: Account, get_account: GetAccount) -> dict[str, Any] | None:
    program = tokens.TOKEN_PROGRAMS.get(account.owner)
    held = tokens.token_account(account)
    if held is not None:
        decimals = tokens.decimals_of(held.mint, get_account)
        if decimals is None:
            return None
        parsed = {"type": "account", "info": tokens.parsed_account(held, decimals)}
    else:
        mint = tokens.mint_of(account)
        if mint is None:
            return None
        parsed = {"type": "mint", "info": tokens.parsed_mint(mint)}
    return {"program": program, "parsed": parsed, "space": len(account.data)}


def zstd_frame(data: bytes) -> bytes:
    """A Zstandard frame (RFC 8878) of raw blocks: valid for every decoder, and compressing nothing."""
    # Single segment with a 4-byte content size.
    frame = b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little")
    chunks = [data[at : at + _ZSTD_BLOCK] for at in range(0, len(data), _ZSTD_BLOCK)] or [b""]
    for number, chunk in enumerate(chunks, 1):
        frame += (len(chunk) << 3 | (number == len(chunks))).to_bytes(3, "little") + chunk
    return frame


Filter = Callable[[Account], bool]


def filters(value: Any) -> list[Filter]:
    """The filters of getProgramAccounts and programSubscribe: ``dataSize``, ``memcmp`` and ``tokenAccountState``."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise params.mistyped(value, "a sequence")
    if len(value) > MAX_FILTERS:
        raise invalid_params(f"Too many filters provided; max {MAX_FILTERS}")
    return [_filter(one) for one in value]


def _filter(value: Any) -> Filter:
    match value:
        case {"dataSize": size}:
            wanted = params.unsigned(size)
            return lambda account: len(account.data) == wanted
        case {"memcmp": compare}:
            offset, expected = _memcmp(Config(compare, "Memcmp"))
            return lambda account: bytes(account.data)[offset : offset + len(expected)] == expected
        case "tokenAccountState":
            return lambda account: tokens.token_account(account) is not None
        case dict() if len(value) == 1:
            params.variant(next(iter(value)), ("dataSize", "memcmp", "tokenAccountState"))
    raise params.mistyped(value, "enum RpcFilterType")


def _memcmp(config: Config) -> tuple[int, bytes]:
    offset, data = config.number("offset", "usize"), config.get("bytes")
    if offset is None or data is None:
        raise invalid_params(f"Invalid params: missing field `{'offset' if offset is None else 'bytes'}`.")
    if isinstance(data, list):
        if not all(isinstance(one, int) and 0 <= one < 256 for one in data):
            raise invalid_params("Invalid params: data did not match any variant of untagged enum DataType.")
        raw = bytes(data)
    else:
        encoding = config.one_of("encoding", ("base58", "base64", "bytes"), "base58")
        given = params.text(data)
        if len(given) > (_MAX_MEMCMP_BASE64 if encoding == "base64" else _MAX_MEMCMP_BASE58):
            raise invalid_params("Invalid param: DataTooLarge")
        try:
            raw = decode64(given) if encoding == "base64" else decode58(given)
        except BadEncoding as error:
            kind = "Base64DecodeError" if encoding == "base64" else "Base58DecodeError"
            raise invalid_params(f"Invalid param: {kind}({error})") from None
    if len(raw) > _MAX_MEMCMP:
        raise invalid_params("Invalid param: DataTooLarge")
    return offset, raw


def keyed(found: Sequence[tuple[Pubkey, Account]], encoding: str, cut: Slice | None, get_account: GetAccount) -> list[Any]:
    """RpcKeyedAccount objects."""
    return [{"pubkey": str(key), "account": ui_account(account, encoding, cut, get_account)} for key, account in found]
