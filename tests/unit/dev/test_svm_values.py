"""The pure parts of the Solana node: error texts, encodings, filters, versions, token accounts."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.account import Account
from solders.pubkey import Pubkey
from solders.token.state import Mint, TokenAccount, TokenAccountState
from solders.transaction_status import InstructionErrorFieldless, TransactionErrorFieldless

from probekit.dev.svm import encoding, params, tokens
from probekit.dev.svm.versions import Versions
from probekit.dev.svm.words import Refusal, instruction_error_text, transaction_error_text
from probekit.model.pubkey import base58

KEY, OTHER, MINT = Pubkey([7] * 32), Pubkey([8] * 32), Pubkey([9] * 32)
UNWORDED = {"CommitCancelled", "ResanitizationNeeded"}
"""Whose Display text is its own name."""


def variants(kind: Any) -> list[str]:
    return [name for name in dir(kind) if name[0].isupper() and isinstance(getattr(kind, name), kind)]


def test_every_error_of_the_runtime_has_its_sentence() -> None:
    transactions = [name for name in variants(TransactionErrorFieldless) if transaction_error_text(name) == name]
    instructions = [name for name in variants(InstructionErrorFieldless) if instruction_error_text(name) == name]
    assert len(variants(TransactionErrorFieldless)) > 30
    assert len(variants(InstructionErrorFieldless)) > 45
    assert set(transactions) <= UNWORDED
    assert instructions == []


@pytest.mark.parametrize(
    ("err", "text"),
    [
        ({"InstructionError": [2, {"Custom": 6000}]}, "Error processing Instruction 2: custom program error: 0x1770"),
        ({"InstructionError": [0, "InvalidArgument"]}, "Error processing Instruction 0: invalid program argument"),
        (
            {"InstructionError": [0, {"BorshIoError": "Unknown"}]},
            "Error processing Instruction 0: Failed to serialize or deserialize account data",
        ),
        ({"DuplicateInstruction": 3}, "Transaction contains a duplicate instruction (3) that is not allowed"),
        (
            {"InsufficientFundsForRent": {"account_index": 1}},
            "Transaction results in an account (1) with insufficient funds for rent",
        ),
        (
            {"ProgramExecutionTemporarilyRestricted": {"account_index": 4}},
            "Execution of the program referenced by account at index 4 is temporarily restricted.",
        ),
        ("BlockhashNotFound", "Blockhash not found"),
        ({"OfTomorrow": 1}, "OfTomorrow"),
    ],
)
def test_error_sentences(err: Any, text: str) -> None:
    assert transaction_error_text(err) == text


@given(st.binary(max_size=300))
def test_base58_of_any_length(raw: bytes) -> None:
    assert params.decode58(base58(raw)) == raw


@given(st.text(max_size=40))
def test_undecodable_text_is_one_error(text: str) -> None:
    for decode in (params.decode58, params.decode64):
        try:
            decoded = decode(text)
        except params.BadEncoding:
            continue
        assert isinstance(decoded, bytes)


def test_decoder_words() -> None:
    with pytest.raises(params.BadEncoding, match=r"InvalidCharacter \{ character: '0', index: 1 \}"):
        params.decode58("10")
    with pytest.raises(params.BadEncoding, match=r"InvalidByte\(2, 33\)"):
        params.decode64("AA!=")
    with pytest.raises(params.BadEncoding, match="InvalidPadding"):
        params.decode64("AAA")


def unzstd(frame: bytes) -> bytes:
    """RFC 8878, as far as frames of raw blocks go."""
    assert frame[:5] == b"\x28\xb5\x2f\xfd\xa0"
    size, at, out, last = int.from_bytes(frame[5:9], "little"), 9, b"", False
    while not last:
        header = int.from_bytes(frame[at : at + 3], "little")
        last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
        assert kind == 0
        assert length <= 1 << 17
        out, at = out + frame[at + 3 : at + 3 + length], at + 3 + length
    assert at == len(frame)
    assert len(out) == size
    return out


@pytest.mark.parametrize("size", [0, 1, 1 << 17, (1 << 17) + 1, 300_000])
def test_zstd_frames(size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    assert unzstd(encoding.zstd_frame(data)) == data


@given(st.binary(max_size=200), st.integers(0, 250), st.integers(0, 250))
def test_each_encoding_shows_the_slice(data: bytes, offset: int, length: int) -> None:
    account = Account(5, data, OTHER, True, 2**64 - 1)
    cut = encoding.Slice(offset, length)
    part = data[offset : offset + length]
    shown = encoding.ui_account(account, "base64", cut)
    assert shown["data"] == [base64.b64encode(part).decode(), "base64"]
    assert {name: shown[name] for name in shown if name != "data"} == {
        "lamports": 5, "owner": str(OTHER), "executable": True, "rentEpoch": 2**64 - 1, "space": len(data),
    }  # fmt: skip
    text, kind = encoding.ui_account(account, "base64+zstd", cut)["data"]
    assert (unzstd(base64.b64decode(text)), kind) == (part, "base64+zstd")
    # No parser for this owner: a node falls back.
    assert encoding.ui_account(account, "jsonParsed", cut, lambda _: None)["data"][1] == "base64"
    for name in ("base58", "binary"):
        if len(part) > 128:
            with pytest.raises(Refusal, match="-32600: Encoded binary .base 58. data should be less than 128 bytes"):
                encoding.ui_account(account, name, cut)
            text = "error: data too large for bs58 encoding"
        else:
            text = base58(part)
        shown_data = encoding.ui_account(account, name, cut, strict=False)["data"]
        assert shown_data == (text if name == "binary" else [text, "base58"])


ACCOUNT = Account(1, bytes(range(100)), KEY)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ([], True),
        ([{"dataSize": 100}], True),
        ([{"dataSize": 99}], False),
        ([{"memcmp": {"offset": 3, "bytes": base58(bytes((3, 4, 5)))}}], True),
        ([{"memcmp": {"offset": 3, "bytes": base64.b64encode(bytes((3, 4))).decode(), "encoding": "base64"}}], True),
        ([{"memcmp": {"offset": 3, "bytes": [3, 4]}}], True),
        ([{"memcmp": {"offset": 98, "bytes": [98, 99, 100]}}], False),
        ([{"memcmp": {"offset": 4, "bytes": [3]}}], False),
        ([{"dataSize": 100}, {"memcmp": {"offset": 0, "bytes": [1]}}], False),
        (["tokenAccountState"], False),
    ],
)
def test_filters(value: Any, kept: bool) -> None:
    assert all(one(ACCOUNT) for one in encoding.filters(value)) is kept


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([{"dataSize": 1}] * 5, "Too many filters provided; max 4"),
        ([{"memcmp": {"offset": 0, "bytes": "0"}}], "Invalid param: Base58DecodeError"),
        ([{"memcmp": {"offset": 0, "bytes": "A", "encoding": "base64"}}], "Invalid param: Base64DecodeError"),
        ([{"memcmp": {"offset": 0, "bytes": base58(b"\xff" * 129)}}], "Invalid param: DataTooLarge"),
        ([{"memcmp": {"offset": 0, "bytes": [0] * 129}}], "Invalid param: DataTooLarge"),
        ([{"memcmp": {"offset": 0}}], "missing field `bytes`"),
        ([{"memcmp": {"bytes": ""}}], "missing field `offset`"),
        ([{"size": 1}], "unknown variant `size`, expected one of `dataSize`, `memcmp`, `tokenAccountState`"),
        ([7], "invalid type: integer `7`, expected enum RpcFilterType"),
        ({"dataSize": 1}, "invalid type: map, expected a sequence"),
        ([{"dataSize": -1}], "invalid value: integer `-1`, expected u64"),
    ],
)
def test_bad_filters(value: Any, words: str) -> None:
    with pytest.raises(Refusal) as refused:
        encoding.filters(value)
    assert refused.value.code == -32602
    assert words in refused.value.message


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.integers()), max_size=40), st.integers(0, 60))
def test_versions_agree_with_a_full_history(writes: list[tuple[int, str, int]], floor: int) -> None:
    versions: Versions[str, int | None] = Versions()
    slot, now, history = 0, dict.fromkeys("abc"), [dict[str, int | None](dict.fromkeys("abc"))]
    newest: dict[str, int | None] = dict(now)
    for step, key, value in writes:
        for _ in range(step):
            slot += 1
            history.append(dict(newest))
        versions.put(slot, key, newest[key], value)
        newest[key] = value
        history[slot] = dict(newest)
    floor = min(floor, slot)
    versions.forget(floor)
    for seen in range(floor, slot + 1):
        for key in "abc":
            assert versions.at(key, seen, newest[key]) == history[seen][key]
            assert versions.changed_since(key, seen) == any(key == one and at > seen for at, one in written_at(writes))
    versions.forget(slot)
    assert len(versions) == 0


def written_at(writes: list[tuple[int, str, int]]) -> list[tuple[int, str]]:
    slot, found = 0, []
    for step, key, _ in writes:
        slot += step
        found.append((slot, key))
    return found


def held(owner: Pubkey, amount: int, **more: Any) -> Account:
    fields = {"delegate": None, "is_native": None, **more}
    made = TokenAccount(MINT, owner, amount, state=TokenAccountState.Initialized, delegated_amount=0, **fields)
    return Account(1, bytes(made), tokens.TOKEN)


def minted(decimals: int) -> Account:
    return Account(1, bytes(Mint(None, 5, decimals, True, KEY)), tokens.TOKEN)


def test_token_accounts_as_another_library_writes_them() -> None:
    read = tokens.token_account(held(OTHER, 12_345, delegate=KEY, close_authority=OTHER, is_native=99))
    assert read == tokens.TokenAccount(MINT, OTHER, 12_345, KEY, "initialized", 99, 0, OTHER)
    assert tokens.mint_of(minted(6)) == tokens.Mint(None, 5, 6, True, KEY)
    accounts = {MINT: minted(6)}
    shown = encoding.ui_account(held(OTHER, 12_345), "jsonParsed", None, accounts.get)["data"]
    assert shown == {
        "program": "spl-token",
        "space": 165,
        "parsed": {
            "type": "account",
            "info": {
                "mint": str(MINT),
                "owner": str(OTHER),
                "tokenAmount": {"uiAmount": 0.012345, "decimals": 6, "amount": "12345", "uiAmountString": "0.012345"},
                "state": "initialized",
                "isNative": False,
            },
        },
    }
    mint = encoding.ui_account(minted(6), "jsonParsed", None, accounts.get)["data"]["parsed"]
    assert mint["type"] == "mint"
    assert mint["info"] == {
        "mintAuthority": None, "supply": "5", "decimals": 6, "isInitialized": True, "freezeAuthority": str(KEY),
    }  # fmt: skip
    # A mint that is not there: no decimals, so no parsed form.
    assert encoding.ui_account(held(OTHER, 1), "jsonParsed", None, lambda _: None)["data"][1] == "base64"


def test_what_is_no_token_account() -> None:
    sound = held(OTHER, 1)
    data = bytes(sound.data)
    for raw in (data[:-1], data + b"\0", data[:108] + b"\0" + data[109:], b""):
        assert tokens.token_account(Account(1, raw, tokens.TOKEN)) is None
    assert tokens.token_account(Account(1, data, KEY)) is None
    assert tokens.token_account(None) is None
    extended = Account(1, data + b"\2" + bytes(4), tokens.TOKEN_2022)
    assert tokens.token_account(extended) == tokens.token_account(sound)
    assert tokens.mint_of(extended) is None


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [(0, 9, "0"), (1, 9, "0.000000001"), (10, 1, "1"), (15, 1, "1.5"), (2**64 - 1, 0, str(2**64 - 1)), (100, 0, "100")],
)
def test_ui_amounts(amount: int, decimals: int, text: str) -> None:
    shown = tokens.ui_amount(amount, decimals)
    assert (shown["amount"], shown["decimals"], shown["uiAmountString"]) == (str(amount), decimals, text)
    assert json.loads(json.dumps(shown["uiAmount"])) == pytest.approx(amount / 10**decimals)
