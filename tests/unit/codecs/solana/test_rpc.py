"""JSON-RPC results: what validators' own types write, and what nodes and proxies get wrong."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from solders.account import Account as SoldersAccount
from solders.epoch_info import EpochInfo as SoldersEpochInfo
from solders.hash import Hash
from solders.pubkey import Pubkey as SoldersPubkey
from solders.rpc import responses as wire
from solders.signature import Signature
from solders.transaction_status import (
    InstructionErrorCustom,
    TransactionConfirmationStatus,
    TransactionErrorInstructionError,
    TransactionReturnData,
    TransactionStatus,
)

from probekit.codecs.solana import rpc
from probekit.codecs.solana.values import binary
from probekit.errors import DecodeError, RpcError
from probekit.model.pubkey import Pubkey, base58
from probekit.model.solana import Account, Commitment, ReturnData, SignatureStatus, custom_error
from tests.unit.codecs.solana.strategies import accounts, pubkeys

KEYS = [Pubkey(bytes((n,)) * 32) for n in range(1, 5)]
OWNER = Pubkey("rec5EKMGg6MxZYaMdyBfgwp4d5rB9T1VQH5pJv5LtFJ")
CONTEXT = wire.RpcResponseContext(5)
SIGNATURE = base58(b"s" * 64)
FIELDS: dict[str, Any] = {"lamports": 1, "data": ["YWJj", "base64"], "owner": str(OWNER), "executable": False}


def result(response: Any) -> Any:
    """The result that a validator's own type writes."""
    return json.loads(response.to_json())["result"]


def contextual(value: object, **context: object) -> dict[str, object]:
    return {"context": {"slot": 5, "apiVersion": "3.0.1", **context}, "value": value}


@given(accounts)
def test_an_account_is_what_solders_writes(account: Account) -> None:
    assert account.rent_epoch is not None
    theirs = SoldersAccount(
        account.lamports, account.data, SoldersPubkey(account.owner), account.executable, account.rent_epoch
    )
    decoded = rpc.decode_accounts(result(wire.GetMultipleAccountsResp([theirs], CONTEXT)), [account.key]).items[0]
    assert isinstance(decoded, Account)
    assert (decoded.owner, decoded.lamports, decoded.data) == (account.owner, account.lamports, account.data)
    assert (decoded.executable, decoded.rent_epoch, decoded.slot) == (account.executable, account.rent_epoch, 5)


@given(accounts)
def test_account_round_trip(account: Account) -> None:
    answer = {"context": {"slot": account.slot}, "value": json.loads(json.dumps(rpc.encode_account(account)))}
    assert rpc.decode_account(answer, account.key) == replace(account, space=len(account.data))


def test_missing_accounts_and_the_context() -> None:
    found = rpc.decode_accounts(contextual([None, FIELDS]), KEYS[:2])
    assert (found.slot, found.api_version, found.items[0]) == (5, "3.0.1", None)
    assert isinstance(found.items[1], Account)
    assert rpc.decode_account(contextual(None), KEYS[0]) is None


BAD_ACCOUNTS: list[tuple[Any, str]] = [
    ({**FIELDS, "data": ["YWJj", "base64+zstd"]}, r"base64\+zstd is not read"),
    ({**FIELDS, "data": {"program": "spl-token", "parsed": {}, "space": 165}}, "jsonParsed is not read"),
    ({**FIELDS, "data": "3yZe7d"}, "not a pair"),
    ({**FIELDS, "data": ["YWJj", "utf7"]}, "not a pair"),
    ({**FIELDS, "data": ["YWJj="]}, "not a pair"),
    ({**FIELDS, "data": ["YWJ", "base64"]}, "not base64"),
    ({**FIELDS, "data": ["YW!Jj", "base64"]}, "not base64"),
    ({**FIELDS, "data": ["YWJjé", "base64"]}, "not base64"),
    ({**FIELDS, "data": ["0OIl", "base58"]}, "not a base58 letter"),
    ({**FIELDS, "owner": "nobody"}, "owner"),
    ({**FIELDS, "owner": None}, "owner"),
    ({**FIELDS, "lamports": "1"}, "lamports"),
    ({**FIELDS, "lamports": -1}, "lamports"),
    ({**FIELDS, "lamports": 2**63}, "lamports"),
    ({**FIELDS, "lamports": 1.0}, "lamports"),
    ({**FIELDS, "executable": 1}, "executable"),
    ({**FIELDS, "rentEpoch": float("inf")}, "no epoch"),
    ({**FIELDS, "rentEpoch": float("nan")}, "no epoch"),
    ({"lamports": 1}, "missing"),
    ([], "Expected `object`"),
    ("gone", "Expected `object`"),
]


@pytest.mark.parametrize(("bad", "problem"), BAD_ACCOUNTS)
def test_a_malformed_account_loses_no_neighbour(bad: Any, problem: str) -> None:
    found = rpc.decode_accounts(contextual([FIELDS, bad, FIELDS]), KEYS[:3])
    first, broken, last = found.items
    assert isinstance(broken, DecodeError)
    assert str(KEYS[1]) in broken.message
    with pytest.raises(DecodeError, match=problem) as caught:
        rpc.decode_account(contextual(bad), KEYS[1])
    assert caught.value.raw
    for good, key in ((first, KEYS[0]), (last, KEYS[2])):
        assert isinstance(good, Account)
        assert (good.key, good.data, good.owner) == (key, b"abc", OWNER)


@pytest.mark.parametrize(
    ("rent_epoch", "kept"),
    [(2**64 - 1, 2**64 - 1), (18446744073709552000, 18446744073709552000), (1.8446744073709552e19, 2**64), (None, None)],
)
def test_a_rent_epoch_that_a_proxy_rounded_is_no_error(rent_epoch: object, kept: int | None) -> None:
    account = rpc.decode_account(contextual({**FIELDS, "rentEpoch": rent_epoch}), KEYS[0])
    assert account is not None
    assert account.rent_epoch == kept


def test_a_slice_is_known_as_one() -> None:
    part = rpc.decode_account(contextual({**FIELDS, "space": 134}), KEYS[0])
    whole = rpc.decode_account(contextual({**FIELDS, "space": 3, "later": "field"}), KEYS[0])
    assert part is not None
    assert whole is not None
    assert (part.is_slice, whole.is_slice) == (True, False)


def test_old_base58_is_read() -> None:
    account = rpc.decode_account(contextual({**FIELDS, "data": [base58(b"abc"), "base58"]}), KEYS[0])
    assert account is not None
    assert account.data == b"abc"


@pytest.mark.parametrize(
    "answer",
    [None, [], "ok", {}, {"value": []}, {"context": {}, "value": []}, {"context": {"slot": "5"}, "value": []},
     {"context": {"slot": -1}, "value": []}, {"context": {"slot": 2**63}, "value": []}, contextual({}), contextual(None),
     contextual([FIELDS]), contextual([FIELDS] * 3)],
)  # fmt: skip
def test_an_answer_of_another_shape_is_refused_whole(answer: object) -> None:
    with pytest.raises(DecodeError):
        rpc.decode_accounts(answer, KEYS[:2])


def test_program_accounts() -> None:
    keyed = wire.RpcKeyedAccount(SoldersPubkey(KEYS[0]), SoldersAccount(1, b"abc", SoldersPubkey(OWNER)))
    answer = result(wire.GetProgramAccountsWithContextResp([keyed], CONTEXT))
    answer["value"] += [{"pubkey": "nobody", "account": FIELDS}, {"pubkey": str(KEYS[1])}, None]
    answer["value"].append({"pubkey": str(KEYS[1]), "account": FIELDS})
    found = rpc.decode_program_accounts(answer)
    assert found.slot == 5
    good = [item for item in found.items if isinstance(item, Account)]
    assert [(item.key, item.data, item.slot) for item in good] == [(KEYS[0], b"abc", 5), (KEYS[1], b"abc", 5)]
    assert [isinstance(item, DecodeError) for item in found.items] == [False, True, True, True, False]
    with pytest.raises(DecodeError, match="withContext"):
        rpc.decode_program_accounts([])


@pytest.mark.parametrize("good", [0, 1, 2**63 - 1])
def test_a_count(good: int) -> None:
    assert rpc.decode_count(good) == good


@pytest.mark.parametrize("bad", [-1, 2**63, 1.0, "1", True, None, [1]])
def test_what_is_no_count(bad: object) -> None:
    with pytest.raises(DecodeError):
        rpc.decode_count(bad)


def test_balance_blockhash_and_token_amount() -> None:
    balance = rpc.decode_balance(result(wire.GetBalanceResp(1_500_000_000, CONTEXT)))
    assert (balance.lamports, str(balance.sol.normalize()), balance.slot) == (1_500_000_000, "1.5", 5)
    blockhash = rpc.decode_blockhash(result(wire.GetLatestBlockhashResp(wire.RpcBlockhash(Hash(b"h" * 32), 77), CONTEXT)))
    assert (blockhash.blockhash, blockhash.last_valid_block_height, blockhash.slot) == (base58(b"h" * 32), 77, 5)
    served = {"amount": "18446744073709551615", "decimals": 6, "uiAmount": 1.8e13, "uiAmountString": "18446744073709.551615"}
    assert str(rpc.decode_token_amount(contextual(served))) == served["uiAmountString"]


@pytest.mark.parametrize("amount", ["", "-1", "1.0", "1e5", "٣", "9" * 21, "9" * 10_000, 5])
def test_token_amounts_that_are_none(amount: object) -> None:
    with pytest.raises(DecodeError):
        rpc.decode_token_amount(contextual({"amount": amount, "decimals": 6}))


def test_token_decimals_fit_a_byte() -> None:
    for decimals in (-1, 256, 10**9):
        with pytest.raises(DecodeError):
            rpc.decode_token_amount(contextual({"amount": "1", "decimals": decimals}))


@pytest.mark.parametrize("bad", [base58(b"h" * 31), "not base58 0OIl", "1" * 5_000, 7, None])
def test_hashes_and_signatures_are_checked(bad: object) -> None:
    for decode in (rpc.decode_signature, rpc.decode_genesis_hash):
        with pytest.raises(DecodeError):
            decode(bad)
    with pytest.raises(DecodeError):
        rpc.decode_blockhash(contextual({"blockhash": bad, "lastValidBlockHeight": 1}))


def test_a_signature_and_a_genesis_hash() -> None:
    assert rpc.decode_signature(result(wire.SendTransactionResp(Signature(b"s" * 64)))) == SIGNATURE
    mainnet = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
    assert rpc.decode_genesis_hash(mainnet) == mainnet


def test_signature_statuses() -> None:
    failed = TransactionErrorInstructionError(1, InstructionErrorCustom(6015))
    theirs = [
        TransactionStatus(9, None, None, None, TransactionConfirmationStatus.Finalized),
        None,
        TransactionStatus(9, 3, None, failed, TransactionConfirmationStatus.Processed),
    ]
    answer = result(wire.GetSignatureStatusesResp(theirs, CONTEXT))
    answer["value"].append({"slot": 9, "confirmationStatus": "rumoured"})
    signatures = [base58(bytes((n,)) * 64) for n in range(4)]
    final, unknown, wrong, broken = rpc.decode_signature_statuses(answer, signatures)
    assert unknown is None
    assert isinstance(final, SignatureStatus)
    assert isinstance(wrong, SignatureStatus)
    assert isinstance(broken, DecodeError)
    assert signatures[3] in broken.message
    assert (final.signature, final.slot, final.commitment, final.succeeded) == (signatures[0], 9, Commitment.FINALIZED, True)
    assert (wrong.confirmations, wrong.succeeded, custom_error(wrong.error)) == (3, False, (1, 6015))
    (doubtful,) = rpc.decode_signature_statuses(contextual([{"slot": 9, "confirmationStatus": "finalized"}]), signatures[:1])
    assert isinstance(doubtful, DecodeError), "without its member err nothing says that it succeeded"
    with pytest.raises(DecodeError, match="err"):
        rpc.decode_simulation(contextual({"logs": []}))
    with pytest.raises(DecodeError, match="4 items for 3"):
        rpc.decode_signature_statuses(answer, signatures[:3])


def test_a_failed_send_is_no_success_however_final() -> None:
    final = SignatureStatus(SIGNATURE, 1, Commitment.FINALIZED, None, "AccountNotFound")
    assert final.reached(Commitment.CONFIRMED)
    assert not final.succeeded
    assert custom_error(final.error) is None
    confirmed = SignatureStatus(SIGNATURE, 1, Commitment.CONFIRMED, 3)
    assert [confirmed.reached(level) for level in Commitment] == [True, True, False]
    assert [SignatureStatus(SIGNATURE, 1, None, 3).reached(level) for level in Commitment] == [True, False, False]
    assert SignatureStatus(SIGNATURE, 1, None, None).reached(Commitment.FINALIZED)


def test_signatures_of_an_address() -> None:
    theirs = wire.RpcConfirmedTransactionStatusWithSignature(
        Signature(b"s" * 64), 9, None, "memo", 1_700_000_000, TransactionConfirmationStatus.Confirmed
    )
    answer = result(wire.GetSignaturesForAddressResp([theirs]))
    answer += [{"signature": "short", "slot": 9}, {"signature": SIGNATURE, "slot": 8, "err": "AccountInUse", "blockTime": None}]
    info, broken, failed = rpc.decode_signatures(answer)
    assert isinstance(broken, DecodeError)
    assert not isinstance(info, DecodeError)
    assert not isinstance(failed, DecodeError)
    assert (info.signature, info.slot, info.memo, info.commitment) == (SIGNATURE, 9, "memo", Commitment.CONFIRMED)
    assert info.block_time is not None
    assert info.block_time.seconds == 1_700_000_000
    assert (info.succeeded, failed.succeeded, failed.block_time) == (True, False, None)
    with pytest.raises(DecodeError):
        rpc.decode_signatures({"value": []})


def test_the_logs_of_a_transaction() -> None:
    answer = {"slot": 9, "blockTime": 1_700_000_000, "meta": {"err": None, "logMessages": ["a", "b"], "fee": 5}, "version": 0}
    found = rpc.decode_transaction_logs(answer, SIGNATURE)
    assert found is not None
    assert (found.signature, found.slot, found.logs, found.succeeded) == (SIGNATURE, 9, ("a", "b"), True)
    assert found.block_time is not None
    assert found.block_time.seconds == 1_700_000_000
    failed = rpc.decode_transaction_logs({"slot": 9, "meta": {"err": "AccountInUse", "logMessages": []}}, SIGNATURE)
    assert failed is not None
    assert (failed.succeeded, failed.logs, failed.block_time) == (False, (), None)
    assert rpc.decode_transaction_logs(None, SIGNATURE) is None
    for broken in (
        {"slot": 9, "meta": {"err": None, "logMessages": None}},
        {"slot": 9, "meta": {"logMessages": []}},
        {"slot": 9},
    ):
        with pytest.raises(DecodeError):
            rpc.decode_transaction_logs(broken, SIGNATURE)


def test_health() -> None:
    assert rpc.decode_health("ok").healthy
    told = rpc.decode_health("behind")
    assert (told.healthy, told.message) == (False, "behind")
    with pytest.raises(DecodeError):
        rpc.decode_health({"status": "ok"})


@pytest.mark.parametrize(
    ("message", "data", "behind"),
    [
        ("Node is behind by 42 slots", {"numSlotsBehind": 42}, 42),
        ("Node is behind by 42 slots", None, 42),
        ("Node is behind by 42 slots", {}, 42),
        ("Node is unhealthy", {"numSlotsBehind": None}, None),
        ("Node is unhealthy", {}, None),
        ("getHealth: Node is unhealthy (code -32005)", {"numSlotsBehind": "many"}, None),
        ("Node is unhealthy", {"numSlotsBehind": True}, None),
        ("whatever", {"numSlotsBehind": 7}, 7),
    ],
)
def test_an_unhealthy_node(message: str, data: object, behind: int | None) -> None:
    health = rpc.health_of(RpcError(message, code=-32005, data=data))
    assert (health.healthy, health.slots_behind, health.message) == (False, behind, message)


@pytest.mark.parametrize(
    ("code", "message"), [(-32005, "Too many requests for a specific RPC call"), (-32601, "Method not found"), (429, "behind")]
)
def test_another_error_of_the_health_call_stays_one(code: int, message: str) -> None:
    error = RpcError(message, code=code)
    with pytest.raises(RpcError) as caught:
        rpc.health_of(error)
    assert caught.value is error


def test_version_and_epoch() -> None:
    version = rpc.decode_version({**result(wire.GetVersionResp(wire.RpcVersionInfo("3.0.1", 42))), "firedancer": "0.7"})
    assert (version.core, version.feature_set, version.extra) == ("3.0.1", 42, {"firedancer": "0.7"})
    epoch = rpc.decode_epoch_info(
        {**result(wire.GetEpochInfoResp(SoldersEpochInfo(800, 10, 432_000, 345_600_010, 9, 3))), "x": 1}
    )
    assert (epoch.epoch, epoch.slot_index, epoch.absolute_slot, epoch.block_height) == (800, 10, 345_600_010, 9)
    assert (epoch.slots_left, epoch.transaction_count, epoch.extra) == (431_990, 3, {"x": 1})
    wrong: tuple[object, ...] = ({}, [], None, {"solana-core": 1})
    for bad in wrong:
        with pytest.raises(DecodeError):
            rpc.decode_version(bad)
        with pytest.raises(DecodeError):
            rpc.decode_epoch_info(bad)


def test_simulation() -> None:
    simulated: Any = wire.SimulateTransactionResp  # its stub lacks the context
    theirs = wire.RpcSimulateTransactionResult(
        err=TransactionErrorInstructionError(0, InstructionErrorCustom(6004)),
        logs=["Program log: no"],
        units_consumed=150,
        return_data=TransactionReturnData(SoldersPubkey(OWNER), b"\x01\x02"),
        replacement_blockhash=wire.RpcBlockhash(Hash(b"h" * 32), 77),
        fee=5000,
    )
    answer = result(simulated(theirs, CONTEXT))
    answer["value"]["accounts"] = [FIELDS, None, {**FIELDS, "owner": "x"}]
    answer["value"]["loadedAccountsDataSize"] = 64
    simulation = rpc.decode_simulation(answer, KEYS[:3])
    account, gone, broken = simulation.accounts
    assert isinstance(account, Account)
    assert isinstance(broken, DecodeError)
    assert (account.key, account.data, gone) == (KEYS[0], b"abc", None)
    assert (simulation.slot, simulation.succeeded, custom_error(simulation.error)) == (5, False, (0, 6004))
    assert (simulation.logs, simulation.units_consumed, simulation.fee) == (("Program log: no",), 150, 5000)
    assert simulation.return_data == ReturnData(OWNER, b"\x01\x02")
    assert simulation.replacement_blockhash is not None
    assert simulation.replacement_blockhash.last_valid_block_height == 77
    assert simulation.extra["loadedAccountsDataSize"] == 64
    with pytest.raises(DecodeError, match="3 items for 2"):
        rpc.decode_simulation(answer, KEYS[:2])
    bare = rpc.decode_simulation(contextual({"err": None, "logs": None}))
    assert (bare.succeeded, bare.logs, bare.accounts, bare.extra) == (True, (), (), {})


# fmt: off
MEMBERS = [
    "context", "value", "slot", "lamports", "data", "owner", "executable", "rentEpoch", "pubkey", "account", "err", "logs",
    "accounts", "returnData", "signature", "blockhash", "confirmationStatus", "amount", "decimals", "absoluteSlot",
]
# fmt: on
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=5),
    max_leaves=20,
)


@given(json_values, st.lists(pubkeys, max_size=3))
def test_any_json_decodes_or_is_a_decode_error(value: object, keys: list[Pubkey]) -> None:
    readers = (
        lambda: rpc.decode_account(value, OWNER),
        lambda: rpc.decode_account(contextual(value), OWNER),
        lambda: rpc.decode_accounts(contextual(value), keys),
        lambda: rpc.decode_program_accounts(contextual(value)),
        lambda: rpc.decode_simulation(contextual(value), keys),
        lambda: rpc.decode_signature_statuses(contextual(value), [SIGNATURE] * len(keys)),
        lambda: rpc.decode_token_amount(contextual(value)),
        lambda: rpc.decode_blockhash(contextual(value)),
        lambda: rpc.decode_balance(contextual(value)),
        lambda: rpc.decode_signatures(value),
        lambda: rpc.decode_transaction_logs(value, SIGNATURE),
        lambda: rpc.decode_version(value),
        lambda: rpc.decode_epoch_info(value),
        lambda: rpc.decode_health(value),
        lambda: rpc.decode_signature(value),
        lambda: rpc.decode_count(value),
    )
    for read in readers:
        try:
            read()
        except DecodeError as error:
            assert isinstance(error.raw, str)


def test_a_value_without_json_text_still_gives_a_decode_error() -> None:
    with pytest.raises(DecodeError) as caught:
        rpc.decode_count({object()})
    assert caught.value.raw == "<class 'set'>"


def test_large_data_is_kept_exactly() -> None:
    data = bytes(range(256)) * 40
    account = rpc.decode_account(contextual({**FIELDS, "data": [base64.b64encode(data).decode(), "base64"]}), KEYS[0])
    assert account is not None
    assert account.data == data


@given(st.text(alphabet="ABCw0/+== \n-é", max_size=12) | st.binary(max_size=9).map(lambda raw: base64.b64encode(raw).decode()))
def test_base64_is_read_as_strictly_as_the_standard_library_reads_it(text: str) -> None:
    try:
        wanted = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        with pytest.raises(DecodeError, match="not base64"):
            binary([text, "base64"], "account")
    else:
        assert binary([text, "base64"], "account") == wanted
