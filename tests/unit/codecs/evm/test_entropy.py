"""Entropy's contract: calls and answers of both versions, damaged answers, random numbers and revelations, what became of a
request.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from eth_abi import abi as eth_abi
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.evm import entropy as codec
from probekit.errors import DecodeError
from probekit.model.entropy import (
    MAX_GAS_LIMIT,
    CallbackStatus,
    EntropyRequest,
    ProviderInfo,
    RequestState,
    StuckLimit,
    rounded_gas,
    state_of,
)
from probekit.model.evm import Address
from tests.support.mutation import decodes_or_refuses, mutations
from tests.unit.codecs.strategies import exactly, unsigned

PROVIDER, REQUESTER = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
USER, SECRET = b"u" * 32, b"s" * 32
addresses = exactly(20).map(Address)
providers = st.builds(
    ProviderInfo,
    *(unsigned(128), unsigned(128), exactly(32), unsigned(64), st.binary(max_size=70), st.binary(max_size=70)),
    *(unsigned(64), unsigned(64), exactly(32), unsigned(64), addresses, unsigned(32)),
    st.none() | unsigned(32),
)
requests = st.builds(
    EntropyRequest,
    *(st.just(PROVIDER), st.integers(1, 2**64 - 1), unsigned(32), exactly(32), unsigned(64), addresses, st.booleans()),
    st.sampled_from(CallbackStatus),
    unsigned(16).map(lambda steps: steps * 10_000),
)


def info(**changes: Any) -> ProviderInfo:
    members: dict[str, Any] = {
        "fee_wei": 1_000,
        "accrued_fees_wei": 5,
        "original_commitment": b"o" * 32,
        "original_commitment_sequence": 0,
        "commitment_metadata": b"",
        "uri": b"https://fortuna.test/v1/chains/base",
        "end_sequence": 1_000,
        "sequence": 100,
        "current_commitment": b"c" * 32,
        "current_commitment_sequence": 90,
        "fee_manager": REQUESTER,
        "max_num_hashes": 500,
        "default_gas_limit": 100_000,
    }
    return ProviderInfo(**(members | changes))


def request(**changes: Any) -> EntropyRequest:
    members: dict[str, Any] = {
        "provider": PROVIDER,
        "sequence": 7,
        "num_hashes": 3,
        "commitment": codec.commitment_of(USER, SECRET, 3),
        "block_number": 50,
        "requester": REQUESTER,
        "use_blockhash": False,
        "callback_status": CallbackStatus.NOT_STARTED,
        "gas_limit": 100_000,
    }
    return EntropyRequest(**(members | changes))


# -- answers -------------------------------------------------------------------------------------------------------------------


@given(providers)
def test_providers(one: ProviderInfo) -> None:
    old = one.default_gas_limit is None
    answer = eth_abi.encode([codec.PROVIDER_V1 if old else codec.PROVIDER_V2], [codec.raw_provider(one)])
    function = codec.GET_PROVIDER_INFO if old else codec.GET_PROVIDER_INFO_V2
    call = codec.get_provider_info_v1(PROVIDER) if old else codec.get_provider_info_v2(PROVIDER)
    assert function.answer(codec.raw_provider(one)) == answer
    assert call.result(answer) == one
    assert call.data == function.selector + eth_abi.encode(["address"], [PROVIDER])


@given(requests)
def test_requests_of_both_versions(one: EntropyRequest) -> None:
    answer = eth_abi.encode([codec.REQUEST_V2], [codec.raw_request(one)])
    assert codec.GET_REQUEST_V2.answer(codec.raw_request(one)) == answer
    assert codec.get_request_v2(PROVIDER, one.sequence).result(answer) == one
    members = codec.raw_request(one)
    old = (*members[:7], one.callback_status > 0)
    found = codec.get_request_v1(PROVIDER, one.sequence).result(eth_abi.encode([codec.REQUEST_V1], [old]))
    assert found is not None
    assert codec.raw_request(found) == old
    assert (found.gas_limit, found.callback_status) == (None, CallbackStatus(min(1, one.callback_status)))


def test_a_request_that_is_not_held() -> None:
    assert codec.get_request_v2(PROVIDER, 7).result(bytes(9 * 32)) is None
    assert codec.get_request_v1(PROVIDER, 7).result(bytes(8 * 32)) is None


def test_a_member_that_a_later_release_appended_is_left_out() -> None:
    answer = codec.GET_REQUEST_V2.answer(codec.raw_request(request()))
    assert codec.get_request_v2(PROVIDER, 7).result(answer + bytes(32)) == request()


def test_a_request_that_was_not_asked_for() -> None:
    answer = codec.GET_REQUEST_V2.answer(codec.raw_request(request(sequence=8)))
    with pytest.raises(DecodeError, match="asked for request 7 of 0x11"):
        codec.get_request_v2(PROVIDER, 7).result(answer)


def test_a_status_of_a_later_release() -> None:
    members = (*codec.raw_request(request())[:7], 4, 10)
    with pytest.raises(DecodeError, match="4 is not a valid CallbackStatus"):
        codec.get_request_v2(PROVIDER, 7).result(codec.GET_REQUEST_V2.answer(members))
    with pytest.raises(ValueError, match="not in steps"):
        codec.raw_request(request(gas_limit=15_000))


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (codec.get_provider_info_v2(PROVIDER), codec.GET_PROVIDER_INFO_V2.answer(codec.raw_provider(info()))),
        (
            codec.get_provider_info_v1(PROVIDER),
            codec.GET_PROVIDER_INFO.answer(codec.raw_provider(info(default_gas_limit=None))),
        ),
        (codec.get_request_v2(PROVIDER, 7), codec.GET_REQUEST_V2.answer(codec.raw_request(request()))),
        (codec.get_request_v1(PROVIDER, 7), codec.GET_REQUEST.answer(codec.raw_request(request(gas_limit=None)))),
        (codec.get_fee_v2(5), codec.GET_FEE_V2_GAS.answer(2**100)),
        (codec.get_default_provider(), codec.GET_DEFAULT_PROVIDER.answer(PROVIDER)),
    ],
    ids=["provider 2", "provider 1", "request 2", "request 1", "fee", "default provider"],
)
def test_damaged_answers(call: Any, answer: bytes) -> None:
    assert decodes_or_refuses(call.result, answer)
    outcomes = [decodes_or_refuses(call.result, damaged) for damaged in mutations(answer)]
    assert False in outcomes


# -- calls ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "signature", "types", "values"),
    [
        (codec.request_v2(), "requestV2()", [], []),
        (codec.request_v2(60_000), "requestV2(uint32)", ["uint32"], [60_000]),
        (codec.request_v2(1, PROVIDER), "requestV2(address,uint32)", ["address", "uint32"], [PROVIDER, 1]),
        (
            codec.request_v2(0, PROVIDER, USER),
            "requestV2(address,bytes32,uint32)",
            ["address", "bytes32", "uint32"],
            [PROVIDER, USER, 0],
        ),
        (
            codec.request_with_callback(PROVIDER, USER),
            "requestWithCallback(address,bytes32)",
            ["address", "bytes32"],
            [PROVIDER, USER],
        ),
        (
            codec.request_alone(PROVIDER, codec.user_commitment(USER), use_blockhash=True),
            "request(address,bytes32,bool)",
            ["address", "bytes32", "bool"],
            [PROVIDER, keccak(USER), True],
        ),
        (
            codec.reveal_with_callback(PROVIDER, 7, USER, SECRET),
            "revealWithCallback(address,uint64,bytes32,bytes32)",
            ["address", "uint64", "bytes32", "bytes32"],
            [PROVIDER, 7, USER, SECRET],
        ),
        (
            codec.reveal(PROVIDER, 7, USER, SECRET),
            "reveal(address,uint64,bytes32,bytes32)",
            ["address", "uint64", "bytes32", "bytes32"],
            [PROVIDER, 7, USER, SECRET],
        ),
        (
            codec.entropy_callback(7, PROVIDER, USER),
            "_entropyCallback(uint64,address,bytes32)",
            ["uint64", "address", "bytes32"],
            [7, PROVIDER, USER],
        ),
        (codec.get_fee(PROVIDER), "getFee(address)", ["address"], [PROVIDER]),
        (codec.get_fee_v2(), "getFeeV2()", [], []),
        (codec.get_fee_v2(7), "getFeeV2(uint32)", ["uint32"], [7]),
        (codec.get_fee_v2(0, PROVIDER), "getFeeV2(address,uint32)", ["address", "uint32"], [PROVIDER, 0]),
    ],
)
def test_calldata_as_eth_abi_writes_it(call: Any, signature: str, types: list[str], values: list[Any]) -> None:
    assert call.data == keccak(text=signature)[:4] + eth_abi.encode(types, values)


def test_a_contribution_needs_its_provider() -> None:
    with pytest.raises(ValueError, match="named provider"):
        codec.request_v2(0, None, USER)


# -- fees and margins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gas_limit", "default", "fee"),
    [
        (0, 100_000, 1_000),
        (100_000, 100_000, 1_000),
        (100_001, 100_000, 1_100),
        (110_000, 100_000, 1_100),
        (250_000, 100_000, 2_500),
        (130_000, 30_001, 1_000 + (130_000 - 30_001) * 1_000 // 30_001),
        (500_000, 0, 1_000),
        (500_000, None, 1_000),
    ],
)
def test_the_providers_fee(gas_limit: int, default: int | None, fee: int) -> None:
    assert info(default_gas_limit=default).fee_of(gas_limit) == fee


def test_gas_is_rounded_up_and_bounded() -> None:
    assert [rounded_gas(gas) for gas in (0, 1, 10_000, 10_001, MAX_GAS_LIMIT)] == [0, 10_000, 10_000, 20_000, MAX_GAS_LIMIT]
    for gas in (-1, MAX_GAS_LIMIT + 1):
        with pytest.raises(ValueError, match="the contract takes 0 to 655350000"):
            info().fee_of(gas)


def test_margins_of_the_hash_chain() -> None:
    one = info()
    assert (one.remaining, one.next_num_hashes, one.hash_margin, one.registered) == (900, 10, 491, True)
    assert info(sequence=1_000).remaining == 0
    assert info(max_num_hashes=0).hash_margin is None
    # The contract takes a request with exactly the most hashes, and refuses the next one.
    assert [info(sequence=sequence).hash_margin for sequence in (590, 591, 700)] == [1, 0, 0]
    assert not info(sequence=0).registered


# -- random numbers ------------------------------------------------------------------------------------------------------------


@given(exactly(32), exactly(32), st.integers(0, 40), exactly(32))
def test_revelations(user: bytes, secret: bytes, hashes: int, blockhash: bytes) -> None:
    link = secret
    for _ in range(hashes):
        link = keccak(link)
    held = request(num_hashes=hashes, commitment=keccak(keccak(user) + link))
    assert codec.revelation_fits(held, user, secret)
    assert not codec.revelation_fits(held, user, keccak(b"another" + secret))
    assert not codec.revelation_fits(held, keccak(b"another" + user), secret)
    assert codec.random_number(user, secret) == keccak(user + secret + bytes(32))
    assert codec.random_number(user, secret, blockhash) == keccak(user + secret + blockhash)
    registered = info(current_commitment=link, current_commitment_sequence=90)
    assert codec.revelation_continues(registered, 90 + hashes, secret)
    assert not codec.revelation_continues(registered, 91 + hashes, secret)


def test_what_is_no_revelation() -> None:
    for wrong in (b"", b"x" * 31, b"x" * 33):
        with pytest.raises(ValueError, match="32 are due"):
            codec.random_number(USER, wrong)
    with pytest.raises(ValueError, match="a check does up to 100000"):
        codec.provider_commitment(SECRET, 2**32 - 1)
    with pytest.raises(ValueError, match="-1 hashes"):
        codec.revelation_continues(info(), 89, SECRET)


# -- what became of a request --------------------------------------------------------------------------------------------------

LIMIT = StuckLimit(age=timedelta(seconds=60), blocks=20)


@pytest.mark.parametrize(
    ("held", "sequence", "age_blocks", "age_s", "state"),
    [
        (None, 7, 0, None, RequestState.FULFILLED),
        (None, 99, 0, None, RequestState.FULFILLED),
        (None, 100, 0, None, RequestState.NEVER_MADE),
        (None, 0, 0, None, RequestState.NEVER_MADE),
        (None, 40, 0, None, RequestState.NEVER_MADE),  # taken by a registration
        (request(), 7, 20, 60, RequestState.PENDING),
        (request(), 7, 21, 60, RequestState.STUCK),
        (request(), 7, 20, 61, RequestState.STUCK),
        (request(), 7, 20, None, RequestState.PENDING),
        (request(callback_status=CallbackStatus.IN_PROGRESS), 7, 900, 900, RequestState.CALLBACK_IN_PROGRESS),
        (request(callback_status=CallbackStatus.FAILED), 7, 900, 900, RequestState.CALLBACK_FAILED),
        (request(callback_status=CallbackStatus.NOT_NEEDED), 7, 900, 900, RequestState.AWAITS_REQUESTER),
        (
            request(callback_status=CallbackStatus.NOT_NEEDED, use_blockhash=True),
            7,
            255,
            1,
            RequestState.AWAITS_REQUESTER,
        ),
        (request(callback_status=CallbackStatus.NOT_NEEDED, use_blockhash=True), 7, 256, 1, RequestState.EXPIRED),
    ],
)
def test_states(held: EntropyRequest | None, sequence: int, age_blocks: int, age_s: int | None, state: RequestState) -> None:
    provider = info(original_commitment_sequence=40)
    assert state_of(sequence, held, provider, age_blocks=age_blocks, age_s=age_s, limit=LIMIT) is state


def test_limits() -> None:
    assert StuckLimit(blocks=5).passed(6, None)
    assert not StuckLimit(blocks=5).passed(5, 10**9)
    assert StuckLimit(age=timedelta(seconds=5)).passed(0, 6)
    assert not StuckLimit(age=timedelta(seconds=5)).passed(10**9, 5)
    with pytest.raises(ValueError, match="in time, in blocks"):
        StuckLimit()
    with pytest.raises(ValueError, match="not negative"):
        StuckLimit(blocks=-1)
    with pytest.raises(ValueError, match="not negative"):
        StuckLimit(age=timedelta(seconds=-1))
