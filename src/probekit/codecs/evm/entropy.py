"""Entropy's contract: a ready call for every function, its answer as a typed value; random numbers, and whether a revelation
fits.

Structs of V2: ``ProviderInfo`` is (uint128 fee, uint128 accrued, bytes32 original commitment, uint64 its sequence, bytes
metadata, bytes uri, uint64 end, uint64 next sequence, bytes32 current commitment, uint64 its sequence, address fee manager,
uint32 most hashes, uint32 default gas), dynamic; ``Request`` (address provider, uint64 sequence, uint32 hashes, bytes32
commitment, uint64 block, address requester, bool block hash, uint8 callback status, uint16 gas in steps of 10,000), static. V1
lacks the default gas, and has one bool in place of the last two. Contracts of V2 answer for both.

Source: pyth-crosschain ``target_chains/ethereum/entropy_sdk/solidity`` and
``target_chains/ethereum/contracts/contracts/entropy``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from probekit.codecs.evm.contract import ContractCall, Function
from probekit.codecs.evm.reverts import decode_revert
from probekit.codecs.keccak import keccak256
from probekit.model.entropy import GAS_STEP, CallbackStatus, CauseKind, EntropyCause, EntropyRequest, ProviderInfo
from probekit.model.evm import Address, Log

MAINNET_PROVIDER: Final = Address("0x52DeaA1c84233F7bb8C8A45baeDE41091c616506")
TESTNET_PROVIDER: Final = Address("0x6CC14824Ea2918f5De5C2f75A9Da968ad4BD6344")
"""Pyth's own providers, the default ones on their networks."""

REQUEST_V1: Final = "(address,uint64,uint32,bytes32,uint64,address,bool,bool)"
REQUEST_V2: Final = "(address,uint64,uint32,bytes32,uint64,address,bool,uint8,uint16)"
_PROVIDER_HEAD: Final = "uint128,uint128,bytes32,uint64,bytes,bytes,uint64,uint64,bytes32,uint64,address,uint32"
PROVIDER_V1: Final = f"({_PROVIDER_HEAD})"
PROVIDER_V2: Final = f"({_PROVIDER_HEAD},uint32)"

GET_DEFAULT_PROVIDER: Final = Function("getDefaultProvider()", "address")
GET_FEE: Final = Function("getFee(address)", "uint128")
GET_FEE_V2: Final = Function("getFeeV2()", "uint128")
GET_FEE_V2_GAS: Final = Function("getFeeV2(uint32)", "uint128")
GET_FEE_V2_PROVIDER: Final = Function("getFeeV2(address,uint32)", "uint128")
GET_PYTH_FEE: Final = Function("getPythFee()", "uint128")
GET_ACCRUED_PYTH_FEES: Final = Function("getAccruedPythFees()", "uint128")
GET_PROVIDER_INFO: Final = Function("getProviderInfo(address)", PROVIDER_V1)
GET_PROVIDER_INFO_V2: Final = Function("getProviderInfoV2(address)", PROVIDER_V2)
GET_REQUEST: Final = Function("getRequest(address,uint64)", REQUEST_V1)
GET_REQUEST_V2: Final = Function("getRequestV2(address,uint64)", REQUEST_V2)
REQUEST_DEFAULT: Final = Function("requestV2()", "uint64", payable=True)
REQUEST_GAS: Final = Function("requestV2(uint32)", "uint64", payable=True)
REQUEST_PROVIDER: Final = Function("requestV2(address,uint32)", "uint64", payable=True)
REQUEST_CONTRIBUTION: Final = Function("requestV2(address,bytes32,uint32)", "uint64", payable=True)
REQUEST_WITH_CALLBACK: Final = Function("requestWithCallback(address,bytes32)", "uint64", payable=True)
REQUEST_ALONE: Final = Function("request(address,bytes32,bool)", "uint64", payable=True)
REVEAL_WITH_CALLBACK: Final = Function("revealWithCallback(address,uint64,bytes32,bytes32)")
REVEAL: Final = Function("reveal(address,uint64,bytes32,bytes32)", "bytes32")
ENTROPY_CALLBACK: Final = Function("_entropyCallback(uint64,address,bytes32)")
VERSION: Final = Function("version()", "string")
GET_ADMIN: Final = Function("getAdmin()", "address")
PROPOSED_ADMIN: Final = Function("proposedAdmin()", "address")
OWNER: Final = Function("owner()", "address")

MOST_HASHES: Final = 100_000
"""Hashes that a check of a revelation does at most. The contract's gas allows a few thousand."""
_NO_BLOCKHASH: Final = bytes(32)


# -- values --------------------------------------------------------------------------------------------------------------------


def provider_of(raw: tuple[Any, ...]) -> ProviderInfo:
    """The struct ``ProviderInfo``, of either version."""
    return ProviderInfo(*raw)


def raw_provider(info: ProviderInfo) -> tuple[Any, ...]:
    """The members of the struct ``ProviderInfo``, to encode an answer: of V1 where the default gas is ``None``."""
    members = tuple(getattr(info, name) for name in info.__struct_fields__)
    return members if info.default_gas_limit is not None else members[:-1]


def request_v1_of(raw: tuple[Any, ...]) -> EntropyRequest:
    """The struct ``Request`` of V1, which cannot tell a failed callback."""
    status = CallbackStatus.NOT_STARTED if raw[-1] else CallbackStatus.NOT_NEEDED
    members: list[Any] = [*raw[:-1], status]
    return EntropyRequest(*members)


def request_v2_of(raw: tuple[Any, ...]) -> EntropyRequest:
    """The struct ``Request`` of V2. Raises ``ValueError`` for a status that this release does not know."""
    members: list[Any] = [*raw[:-2], CallbackStatus(raw[-2]), raw[-1] * GAS_STEP]
    return EntropyRequest(*members)


def raw_request(request: EntropyRequest) -> tuple[Any, ...]:
    """The members of the struct ``Request``, to encode an answer: of V1 where the gas limit is ``None``. Raises ``ValueError``
    for a gas limit that is not in steps of 10,000.
    """
    *members, status, gas_limit = (getattr(request, name) for name in request.__struct_fields__)
    if gas_limit is None:
        return (*members, status is not CallbackStatus.NOT_NEEDED)
    if gas_limit % GAS_STEP:
        raise ValueError(f"a gas limit of {gas_limit} is not in steps of {GAS_STEP}")
    return (*members, int(status), gas_limit // GAS_STEP)


# -- reads ---------------------------------------------------------------------------------------------------------------------


def get_default_provider() -> ContractCall[Address]:
    """The provider of requests that name none."""
    return GET_DEFAULT_PROVIDER.one()


def get_fee(provider: str) -> ContractCall[int]:
    """Wei for a request with the provider's default gas."""
    return GET_FEE.one(provider)


def get_fee_v2(gas_limit: int = 0, provider: str | None = None) -> ContractCall[int]:
    """Wei for a request whose callback has so much gas, of a provider or of the default one. Since V2."""
    if provider is not None:
        return GET_FEE_V2_PROVIDER.one(provider, gas_limit)
    return GET_FEE_V2_GAS.one(gas_limit) if gas_limit else GET_FEE_V2.one()


def get_provider_info_v1(provider: str) -> ContractCall[ProviderInfo]:
    """A provider, without its default gas; sequence 0 for one that never registered."""
    return GET_PROVIDER_INFO.one(provider).then(provider_of)


def get_provider_info_v2(provider: str) -> ContractCall[ProviderInfo]:
    """A provider; sequence 0 for one that never registered. Since V2."""
    return GET_PROVIDER_INFO_V2.one(provider).then(provider_of)


def get_request_v1(provider: str, sequence: int) -> ContractCall[EntropyRequest | None]:
    """A request that the contract holds; ``None`` where it holds none of this number."""
    return GET_REQUEST.one(provider, sequence).then(lambda raw: _held(request_v1_of(raw), provider, sequence))


def get_request_v2(provider: str, sequence: int) -> ContractCall[EntropyRequest | None]:
    """A request that the contract holds; ``None`` where it holds none of this number. Since V2."""
    return GET_REQUEST_V2.one(provider, sequence).then(lambda raw: _held(request_v2_of(raw), provider, sequence))


def _held(request: EntropyRequest, provider: str, sequence: int) -> EntropyRequest | None:
    if request.sequence == 0:
        return None
    if (request.provider, request.sequence) != (Address(provider), sequence):
        raise ValueError(f"asked for request {sequence} of {provider}, got {request.sequence} of {request.provider}")
    return request


STATE_CALLS: Final[Mapping[str, ContractCall[Any]]] = {
    "version": VERSION.one(),
    "default_provider": GET_DEFAULT_PROVIDER.one(),
    "pyth_fee_wei": GET_PYTH_FEE.one(),
    "accrued_pyth_fees_wei": GET_ACCRUED_PYTH_FEES.one(),
    "admin": GET_ADMIN.one(),
    "proposed_admin": PROPOSED_ADMIN.one(),
    "owner": OWNER.one(),
}
"""The configuration as calls, each under its name in :class:`~probekit.model.entropy.EntropyState`."""


# -- requests and revelations, to be simulated, or signed and sent by the caller -----------------------------------------------


def request_v2(gas_limit: int = 0, provider: str | None = None, user_contribution: bytes | None = None) -> ContractCall[int]:
    """Ask for a random number; gives its sequence. Without ``user_contribution`` the contract makes one up. Raises
    ``ValueError`` for a contribution without a provider.
    """
    if user_contribution is not None:
        if provider is None:
            raise ValueError("a contribution of one's own goes with a named provider")
        return REQUEST_CONTRIBUTION.one(provider, user_contribution, gas_limit)
    if provider is not None:
        return REQUEST_PROVIDER.one(provider, gas_limit)
    return REQUEST_GAS.one(gas_limit) if gas_limit else REQUEST_DEFAULT.one()


def request_with_callback(provider: str, user_contribution: bytes) -> ContractCall[int]:
    """Ask for a random number with the default gas, as of V1."""
    return REQUEST_WITH_CALLBACK.one(provider, user_contribution)


def request_alone(provider: str, user_commitment: bytes, *, use_blockhash: bool = False) -> ContractCall[int]:
    """Ask for a random number that the requester reveals itself; :func:`user_commitment` hides its contribution until then."""
    return REQUEST_ALONE.one(provider, user_commitment, use_blockhash)


def reveal_with_callback(provider: str, sequence: int, user: bytes, revelation: bytes) -> ContractCall[None]:
    """Fulfil a request; anybody may. After a failed callback it repeats that, and reverts as it does."""
    return REVEAL_WITH_CALLBACK.nothing(provider, sequence, user, revelation)


def reveal(provider: str, sequence: int, user: bytes, revelation: bytes) -> ContractCall[bytes]:
    """Fulfil a request without callback; only its requester may. Gives the random number."""
    return REVEAL.one(provider, sequence, user, revelation)


def entropy_callback(sequence: int, provider: str, number: bytes) -> ContractCall[None]:
    """What the contract calls on the requester. Tried by ``eth_call`` from the contract's address, it shows why it reverts."""
    return ENTROPY_CALLBACK.nothing(sequence, provider, number)


# -- random numbers ------------------------------------------------------------------------------------------------------------


def random_number(user: bytes, revelation: bytes, blockhash: bytes | None = None) -> bytes:
    """The random number: keccak256(user, revelation, hash of the request's block or zeros), 32 bytes each."""
    return keccak256(_32(user) + _32(revelation) + (_NO_BLOCKHASH if blockhash is None else _32(blockhash)))


def user_commitment(user: bytes) -> bytes:
    """What a requester may show of its contribution beforehand."""
    return keccak256(_32(user))


def provider_commitment(revelation: bytes, num_hashes: int) -> bytes:
    """The link of the hash chain that lies ``num_hashes`` before a revelation. Raises ``ValueError`` beyond
    :data:`MOST_HASHES`.
    """
    if not 0 <= num_hashes <= MOST_HASHES:
        raise ValueError(f"{num_hashes} hashes; a check does up to {MOST_HASHES}")
    link = _32(revelation)
    for _ in range(num_hashes):
        link = keccak256(link)
    return link


def commitment_of(user: bytes, revelation: bytes, num_hashes: int) -> bytes:
    """The commitment that a request with these two contributions stores."""
    return keccak256(user_commitment(user) + provider_commitment(revelation, num_hashes))


def revelation_fits(request: EntropyRequest, user: bytes, revelation: bytes) -> bool:
    """Whether the contract would take this revelation for this request; otherwise it reverts with IncorrectRevelation."""
    return commitment_of(user, revelation, request.num_hashes) == request.commitment


def revelation_continues(info: ProviderInfo, sequence: int, revelation: bytes) -> bool:
    """Whether a revelation belongs to the hash chain that the provider registered. It needs no request, but a ``sequence``
    not before the last one revealed: ``ValueError``.
    """
    return provider_commitment(revelation, sequence - info.current_commitment_sequence) == info.current_commitment


# -- causes --------------------------------------------------------------------------------------------------------------------


def callback_cause(
    returned: bytes, *, gas_used: int | None = None, gas_limit: int | None = None, log: Log | None = None
) -> EntropyCause:
    """Why a callback failed, from what it gave back and the gas it used of what it had.

    Out of gas shows as nothing given back and all of it used. Some contracts catch that of a call of theirs and revert with an
    error of their own: it is then that error, and the text says that the gas was used up.
    """
    used_up = gas_used is not None and bool(gas_limit) and gas_used >= (gas_limit or 0)
    of = "" if gas_used is None else f" ({gas_used} gas used{f' of {gas_limit}' if gas_limit else ''})"
    if returned:
        revert = decode_revert(returned)
        text = f"the callback reverted: {revert}{of}" + (", and all its gas was used" if used_up else "")
        return EntropyCause(CauseKind.REVERTED, text, revert, gas_used, gas_limit, log)
    if used_up:
        return EntropyCause(CauseKind.OUT_OF_GAS, f"the callback ran out of gas{of}", None, gas_used, gas_limit, log)
    text = f"the callback failed without a word{of}: a bare revert, or out of gas"
    return EntropyCause(CauseKind.SILENT, text, None, gas_used, gas_limit, log)


def call_gas(data: bytes, gas: int) -> int:
    """The gas of a transaction whose contract then has ``gas`` itself: 21,000 more, 4 for a zero byte of calldata, 16 for any
    other (EIP-2028).
    """
    zeros = data.count(0)
    return gas + 21_000 + 4 * zeros + 16 * (len(data) - zeros)


def _32(value: bytes) -> bytes:
    if len(value) != 32:
        raise ValueError(f"{len(value)} bytes where 32 are due")
    return value
