"""AsyncWeb3 on our pool: what its users expect, and no request of its own making."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from eth_abi import abi
from eth_account import Account
from web3.exceptions import ContractCustomError, OffchainLookup, Web3RPCError

from probekit import errors
from probekit.clients.web3_pool import web3_over
from probekit.transports.rpc import PoolPolicy
from tests.unit.codecs.test_evm_rpc import KEY
from tests.unit.rpc.nodes import Net, error, refused

CONTRACT = "0x4305FB66699C3B2702D4d05CF36551390A4c69C6"
ABI = [
    {
        "type": "function",
        "name": "getValidTimePeriod",
        "stateMutability": "view",
        "inputs": [],
        "outputs": [{"name": "", "type": "uint256"}],
    }
]
WORD = "0x" + "00" * 31 + "3c"


CAP = 21_000 * 30 + 7


def net(*names: str, cap_wei: int | None = CAP) -> tuple[Net, Any]:
    made = Net(*(names or ("a",)), policy=PoolPolicy(rounds=1))
    return made, web3_over(made.pool, cap_wei=cap_wei)


def signed(**changes: Any) -> bytes:
    fields = {"nonce": 0, "gas": 21_000, "to": CONTRACT, "value": 7, "maxFeePerGas": 30, "maxPriorityFeePerGas": 2}
    return bytes(Account.sign_transaction(fields | {"type": 2, "chainId": 1} | changes, KEY).raw_transaction)


async def test_values_and_contracts_as_web3_users_know_them() -> None:
    made, w3 = net()
    made["a"].results |= {"eth_getBalance": "0xde0b6b3a7640000", "eth_call": WORD, "eth_getBlockByNumber": {"number": "0x7"}}
    assert await made.run(w3.eth.gas_price) == 7
    assert await made.run(w3.eth.get_balance(CONTRACT)) == 10**18
    contract = w3.eth.contract(address=CONTRACT, abi=ABI)
    assert await made.run(contract.functions.getValidTimePeriod().call()) == 60
    assert (await made.run(w3.eth.get_block("latest"))).number == 7
    # The chain is proven once, by us; web3 adds nothing.
    assert made["a"].seen.count("eth_chainId") == 1
    assert made["a"].seen.count("eth_call") == 1
    assert len(made["a"].seen) == 5


async def test_a_revert_is_web3s_own_exception() -> None:
    made, w3 = net("a", "b")
    for name in "ab":
        made[name].errors["eth_call"] = error(3, "execution reverted", "0x19abf40e")
    contract = w3.eth.contract(address=CONTRACT, abi=ABI)
    with pytest.raises(ContractCustomError, match="0x19abf40e"):
        await made.run(contract.functions.getValidTimePeriod().call())
    assert {"eth_call", "eth_sendRawTransaction"}.isdisjoint(made["b"].seen)


async def test_what_is_to_be_looked_up_elsewhere_is_told_and_not_fetched() -> None:
    made, w3 = net()
    asked = (CONTRACT, ["http://127.0.0.1:9/{sender}"], b"", b"\0\0\0\0", b"")
    data = "0x556f1830" + abi.encode(["address", "string[]", "bytes", "bytes4", "bytes"], asked).hex()
    made["a"].errors["eth_call"] = error(3, "execution reverted", data)
    with pytest.raises(OffchainLookup):
        await made.run(w3.eth.contract(address=CONTRACT, abi=ABI).functions.getValidTimePeriod().call())
    assert made["a"].seen.count("eth_call") == 1


async def test_a_node_that_fails_is_passed_over() -> None:
    made, w3 = net("a", "b")
    made["a"].fault = refused
    assert await made.run(w3.eth.gas_price) == 7


async def test_what_is_not_about_the_request_stays_ours() -> None:
    made, w3 = net()
    made["a"].fault = refused
    with pytest.raises(errors.ConnectError):
        await made.run(w3.eth.gas_price)
    assert await made.run(w3.is_connected()) is False
    made["a"].fault = None
    made["a"].results["eth_chainId"] = "0x5"
    with pytest.raises(errors.WrongChain):
        await made.run(w3.eth.gas_price)


async def test_a_raw_transaction_goes_out_once() -> None:
    made, w3 = net("a", "b")
    made["a"].errors["eth_sendRawTransaction"] = error(-32000, "nonce too low")
    with pytest.raises(Web3RPCError, match="nonce too low"):
        await made.run(w3.eth.send_raw_transaction(signed()))
    made["a"].fault = refused
    with pytest.raises(errors.ConnectError):
        await made.run(w3.eth.send_raw_transaction(signed()))
    assert made["a"].seen.count("eth_sendRawTransaction") == 2
    assert {"eth_call", "eth_sendRawTransaction"}.isdisjoint(made["b"].seen)


@pytest.mark.parametrize(
    ("cap_wei", "changes", "reason"),
    [
        (None, {}, "w3 has no cap"),
        (CAP - 1, {}, "the cap is"),
        (CAP, {"chainId": 5}, "of chain 5"),
        (CAP, {"value": 8}, "the cap is"),
    ],
)
async def test_nothing_is_sent_without_a_cap_above_it_or_to_another_chain(
    cap_wei: int | None, changes: dict[str, Any], reason: str
) -> None:
    made, w3 = net(cap_wei=cap_wei)
    with pytest.raises(errors.SendRefused, match=reason):
        await made.run(w3.eth.send_raw_transaction(signed(**changes)))
    assert made["a"].seen == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"value": 8}, "the cap is"),
        ({"gas": None}, "states no gas"),
        ({"maxFeePerGas": None}, "no fee"),
        ({"maxFeePerGas": None, "gasPrice": hex(31)}, "the cap is"),
    ],
)
async def test_what_the_node_would_sign_has_to_state_what_it_takes(changes: dict[str, Any], reason: str | None) -> None:
    made, w3 = net()
    made["a"].results["eth_sendTransaction"] = "0x" + "ab" * 32
    fields: dict[str, Any] = {"from": CONTRACT, "to": CONTRACT, "value": 7, "gas": 21_000, "maxFeePerGas": 30}
    stated = {name: value for name, value in (fields | changes).items() if value is not None}
    sending = w3.provider.make_request("eth_sendTransaction", [stated])
    if reason is None:
        assert (await made.run(sending))["result"] == "0x" + "ab" * 32
    else:
        with pytest.raises(errors.SendRefused, match=reason):
            await made.run(sending)
    assert made["a"].seen.count("eth_sendTransaction") == int(reason is None)


@pytest.mark.parametrize("method", ["eth_sendBundle", "eth_sendUserOperation", "personal_sendTransaction", "eth_submitWork"])
async def test_what_cannot_be_told_is_not_sent(method: str) -> None:
    made, w3 = net()
    with pytest.raises(errors.SendRefused, match="cannot be told"):
        await made.run(w3.provider.make_request(method, [{}]))
    assert made["a"].seen == []


async def test_what_changes_a_node_for_tests_is_nobodys_money() -> None:
    made, w3 = net(cap_wei=None)
    made["a"].results["anvil_mine"] = None
    assert (await made.run(w3.provider.make_request("anvil_mine", [])))["result"] is None


async def test_a_batch_is_one_request() -> None:
    made, w3 = net()
    made["a"].results["eth_getBalance"] = "0x5"
    async with w3.batch_requests() as batch:
        batch.add(w3.eth.get_balance(CONTRACT))
        batch.add(w3.eth.get_balance(CONTRACT))
        assert await made.run(batch.async_execute()) == [5, 5]
    assert made["a"].requests == 2


async def test_filters_are_refused() -> None:
    made, w3 = net()
    with pytest.raises(ValueError, match="lives on one node"):
        await made.run(w3.eth.filter("latest"))
    assert made["a"].seen == []


def test_importing_it_leaves_the_recursion_limit_alone() -> None:
    """With web3's own limit an answer of brackets alone would end the process, not the call."""
    program = (
        "import sys, msgspec; before = sys.getrecursionlimit(); import probekit.clients.web3_pool\n"
        "assert sys.getrecursionlimit() == before\n"
        "from probekit.errors import DecodeError\n"
        "from probekit.transports.rpc.wire import Call, decode\n"
        "try:\n    decode(b'[' * 1_000_000, [Call('a')])\n"
        "except DecodeError:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
