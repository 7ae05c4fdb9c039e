"""Every event of Entropy's contract that tells of requests, revelations and providers, in both versions; and each thing that
happened counted once, though both versions tell of it.

Sources: pyth-crosschain ``target_chains/ethereum/entropy_sdk/solidity/{EntropyEvents,EntropyEventsV2}.sol``,
``target_chains/ethereum/contracts/contracts/entropy/{Entropy,EntropyGovernance}.sol``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from probekit.codecs.evm.contract import Event
from probekit.codecs.evm.entropy import PROVIDER_V1, REQUEST_V1, provider_of, request_v1_of
from probekit.errors import DecodeError
from probekit.model.entropy_events import (
    Counted,
    DefaultProviderSet,
    EntropyEvent,
    EntropyRequested,
    EntropyRevealed,
    FeeManagerSet,
    MaxNumHashesSet,
    ProviderFeeSet,
    ProviderGasLimitSet,
    ProviderRegistered,
    ProviderUriSet,
    ProviderWithdrew,
    PythFeeSet,
)
from probekit.model.evm import Address, Log
from probekit.model.pyth_evm_events import Logged

REGISTERED_V1: Final = Event(f"Registered({PROVIDER_V1})")
REQUESTED_V1: Final = Event(f"Requested({REQUEST_V1})")
REQUESTED_WITH_CALLBACK_V1: Final = Event(
    f"RequestedWithCallback(address,address,uint64,bytes32,{REQUEST_V1})", indexed=(0, 1, 2)
)
REVEALED_V1: Final = Event(f"Revealed({REQUEST_V1},bytes32,bytes32,bytes32,bytes32)")
REVEALED_WITH_CALLBACK_V1: Final = Event(f"RevealedWithCallback({REQUEST_V1},bytes32,bytes32,bytes32)")
CALLBACK_FAILED_V1: Final = Event("CallbackFailed(address,address,uint64,bytes32,bytes32,bytes32,bytes)", indexed=(0, 1, 2))
FEE_UPDATED_V1: Final = Event("ProviderFeeUpdated(address,uint128,uint128)")
GAS_LIMIT_UPDATED_V1: Final = Event("ProviderDefaultGasLimitUpdated(address,uint32,uint32)", indexed=(0,))
URI_UPDATED_V1: Final = Event("ProviderUriUpdated(address,bytes,bytes)")
FEE_MANAGER_UPDATED_V1: Final = Event("ProviderFeeManagerUpdated(address,address,address)")
MAX_NUM_HASHES_V1: Final = Event("ProviderMaxNumHashesAdvanced(address,uint32,uint32)")
WITHDRAWAL_V1: Final = Event("Withdrawal(address,address,uint128)")

REGISTERED_V2: Final = Event("Registered(address,bytes)", indexed=(0,))
REQUESTED_V2: Final = Event("Requested(address,address,uint64,bytes32,uint32,bytes)", indexed=(0, 1, 2))
REVEALED_V2: Final = Event(
    "Revealed(address,address,uint64,bytes32,bytes32,bytes32,bool,bytes,uint32,bytes)", indexed=(0, 1, 2)
)
FEE_UPDATED_V2: Final = Event("ProviderFeeUpdated(address,uint128,uint128,bytes)", indexed=(0,))
GAS_LIMIT_UPDATED_V2: Final = Event("ProviderDefaultGasLimitUpdated(address,uint32,uint32,bytes)", indexed=(0,))
URI_UPDATED_V2: Final = Event("ProviderUriUpdated(address,bytes,bytes,bytes)", indexed=(0,))
FEE_MANAGER_UPDATED_V2: Final = Event("ProviderFeeManagerUpdated(address,address,address,bytes)", indexed=(0,))
MAX_NUM_HASHES_V2: Final = Event("ProviderMaxNumHashesAdvanced(address,uint32,uint32,bytes)", indexed=(0,))
WITHDRAWAL_V2: Final = Event("Withdrawal(address,address,uint128,bytes)", indexed=(0, 1))

PYTH_FEE_SET: Final = Event("PythFeeSet(uint256,uint256)")
DEFAULT_PROVIDER_SET: Final = Event("DefaultProviderSet(address,address)")


def _requested_alone(raw: tuple[Any, ...]) -> EntropyRequested:
    request = request_v1_of(raw)
    return EntropyRequested(request.provider, request.requester, request.sequence, None, with_callback=False, request=request)


def _requested_v1(provider: Address, caller: Address, sequence: int, user: bytes, raw: tuple[Any, ...]) -> EntropyRequested:
    return EntropyRequested(provider, caller, sequence, user, request=request_v1_of(raw))


def _requested_v2(
    provider: Address, caller: Address, sequence: int, user: bytes, gas_limit: int, _extra: bytes
) -> EntropyRequested:
    return EntropyRequested(provider, caller, sequence, user, gas_limit=gas_limit)


def _revealed_v1(raw: tuple[Any, ...], user: bytes, revelation: bytes, *rest: bytes) -> EntropyRevealed:
    request = request_v1_of(raw)
    # Without callback the block hash stands before the number.
    return EntropyRevealed(request.provider, request.requester, request.sequence, rest[-1], user, revelation, request=request)


def _failed_v1(
    provider: Address, caller: Address, sequence: int, user: bytes, revelation: bytes, number: bytes, given: bytes
) -> EntropyRevealed:
    return EntropyRevealed(provider, caller, sequence, number, user, revelation, callback_failed=True, return_value=given)


def _revealed_v2(*members: Any) -> EntropyRevealed:
    return EntropyRevealed(*members[:-1])


_READERS: Final[dict[bytes, tuple[Event, int, Callable[..., EntropyEvent]]]] = {
    event.topic: (event, version, made)
    for event, version, made in (
        (REGISTERED_V1, 1, lambda raw: ProviderRegistered(None, provider_of(raw))),
        (REQUESTED_V1, 1, _requested_alone),
        (REQUESTED_WITH_CALLBACK_V1, 1, _requested_v1),
        (REVEALED_V1, 1, _revealed_v1),
        (REVEALED_WITH_CALLBACK_V1, 1, _revealed_v1),
        (CALLBACK_FAILED_V1, 1, _failed_v1),
        (FEE_UPDATED_V1, 1, ProviderFeeSet),
        (GAS_LIMIT_UPDATED_V1, 1, ProviderGasLimitSet),
        (URI_UPDATED_V1, 1, ProviderUriSet),
        (FEE_MANAGER_UPDATED_V1, 1, FeeManagerSet),
        (MAX_NUM_HASHES_V1, 1, MaxNumHashesSet),
        (WITHDRAWAL_V1, 1, ProviderWithdrew),
        (REGISTERED_V2, 2, lambda provider, _: ProviderRegistered(provider)),
        (REQUESTED_V2, 2, _requested_v2),
        (REVEALED_V2, 2, _revealed_v2),
        (FEE_UPDATED_V2, 2, lambda *members: ProviderFeeSet(*members[:-1])),
        (GAS_LIMIT_UPDATED_V2, 2, lambda *members: ProviderGasLimitSet(*members[:-1])),
        (URI_UPDATED_V2, 2, lambda *members: ProviderUriSet(*members[:-1])),
        (FEE_MANAGER_UPDATED_V2, 2, lambda *members: FeeManagerSet(*members[:-1])),
        (MAX_NUM_HASHES_V2, 2, lambda *members: MaxNumHashesSet(*members[:-1])),
        (WITHDRAWAL_V2, 2, lambda *members: ProviderWithdrew(*members[:-1])),
        (PYTH_FEE_SET, 1, PythFeeSet),
        (DEFAULT_PROVIDER_SET, 1, DefaultProviderSet),
    )
}

EVENTS: Final = tuple(event for event, _, _ in _READERS.values())
"""All events; their topics select the logs to ask for."""
REQUESTS: Final = (REQUESTED_V1, REQUESTED_WITH_CALLBACK_V1, REQUESTED_V2)
REVELATIONS: Final = (REVEALED_V1, REVEALED_WITH_CALLBACK_V1, CALLBACK_FAILED_V1, REVEALED_V2)
"""What tells of either, in both versions."""


def topics_of(*events: Event) -> list[Sequence[bytes]]:
    """Topics to ask a node for any of these events."""
    return [[event.topic for event in events]]


def decode_event(log: Log) -> EntropyEvent | None:
    """The event in a log of an Entropy contract; ``None`` where its first topic is none of them.

    Raises ``DecodeError`` for a log that bears an event's topic and not its content.
    """
    found = _READERS.get(log.topics[0]) if log.topics else None
    if found is None:
        return None
    event, _, made = found
    return made(*event.decode(log.topics, log.data))


def decode_known_event(log: Log) -> EntropyEvent:
    """The event in a log. Raises ``DecodeError``, also for one that is none of the contract's."""
    event = decode_event(log)
    if event is None:
        raise DecodeError("a log of no event that this release knows", raw=log.data)
    return event


def count(events: Iterable[Logged[EntropyEvent] | DecodeError]) -> list[Counted[EntropyEvent] | DecodeError]:
    """Each thing that happened, once, in the order in which it was first told; what did not read stays in its place.

    Two logs tell of one thing when they are of one transaction, of different versions, and of one subject: provider and
    sequence for requests, for revelations also whether the callback failed (one transaction may fail and repeat it), the whole
    content otherwise. What both carry must agree: one that contradicts the first is a ``DecodeError`` of its own.
    """
    found: list[Counted[EntropyEvent] | DecodeError] = []
    open_at: dict[tuple[Any, ...], list[int]] = {}
    for item in events:
        if isinstance(item, DecodeError):
            found.append(item)
            continue
        key = (item.log.transaction_hash, item.log.block_hash, *_subject(item.event))
        version = _version(item.log)
        waiting = [at for at in open_at.get(key, ()) if version not in _versions(found[at])]
        if not waiting:
            open_at.setdefault(key, []).append(len(found))
            found.append(Counted(item.event, (item.log,)))
            continue
        first = found[waiting[0]]
        assert isinstance(first, Counted)
        joined = _joined(first.event, item.event)
        if joined is None:
            found.append(DecodeError(f"two logs of {item.log.transaction_hash} contradict each other", raw=item.log.data))
        else:
            found[waiting[0]] = Counted(joined, (*first.logs, item.log))
    return found


def _subject(event: EntropyEvent) -> tuple[Any, ...]:
    match event:
        case EntropyRequested():
            return "requested", event.provider, event.sequence
        case EntropyRevealed():
            return "revealed", event.provider, event.sequence, event.callback_failed
        case ProviderRegistered():
            # V1 does not say who.
            return ("registered",)
        case _:
            return type(event).__name__, *msgspec.structs.astuple(event)


def _version(log: Log) -> int:
    return _READERS[log.topics[0]][1]


def _versions(item: Counted[EntropyEvent] | DecodeError) -> set[int]:
    return {_version(log) for log in item.logs} if isinstance(item, Counted) else set()


def _joined(first: EntropyEvent, second: EntropyEvent) -> EntropyEvent | None:
    """Both in one: a value that one lacks is the other's. ``None`` where they contradict each other."""
    if type(first) is not type(second):
        return None
    members: dict[str, Any] = {}
    for name in first.__struct_fields__:
        one, other = getattr(first, name), getattr(second, name)
        if one is not None and other is not None and one != other:
            return None
        members[name] = other if one is None else one
    return type(first)(**members)
