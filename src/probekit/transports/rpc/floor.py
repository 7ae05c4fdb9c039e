"""A floor under answers: a block or slot that each must be of, or of a later one.

An answer that tells its own block or slot (``eth_getBlockByNumber``, Solana's ``context.slot``) is held to that. For any other
the endpoint is asked how far it is in the same request, before the call: its newest block, the block of the tag that the call
names, or the slot of the call's commitment. What is guaranteed then is the endpoint's own word: a gateway that spreads the
items of one batch over several nodes speaks for one of them. Whoever needs more names the block in the call itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from probekit.errors import DecodeError, NotReached, NotServed, ProbekitError, RpcError
from probekit.transports.rpc.family import ChainFamily
from probekit.transports.rpc.faults import may_ask_another
from probekit.transports.rpc.wire import Call, Outcome

_MIN_CONTEXT_SLOT: Final = -32016


def guards(family: ChainFamily, calls: Sequence[Call]) -> list[Call]:
    """What is asked before ``calls`` to know how far an endpoint is; nothing where each answer tells that itself."""
    found: list[Call] = []
    for call in calls:
        guard = family.guard(call)
        if guard is not None and guard not in found:
            found.append(guard)
    return found


def held(
    family: ChainFamily, label: str, floor: int, asked: Sequence[Call], calls: Sequence[Call], outcomes: Sequence[Outcome]
) -> list[Outcome]:
    """The outcomes of ``calls``, those behind ``asked`` (their :func:`guards`); ``NotReached`` in place of what is of before
    ``floor``, whatever it is: an old state's revert says nothing of the newest. An endpoint that does not tell how far it is
    has not answered.
    """
    told = [_height(family, guard, outcome) for guard, outcome in zip(asked, outcomes, strict=False)]
    kept: list[Outcome] = []
    for call, outcome in zip(calls, outcomes[len(asked) :], strict=True):
        guard = family.guard(call)
        if isinstance(outcome, NotServed) and outcome.code == _MIN_CONTEXT_SLOT:
            kept.append(_behind(family, label, floor, call, _context_slot(outcome)))
            continue
        height: int | ProbekitError | None
        if guard is not None:
            height = told[asked.index(guard)]
        else:
            height = family.told(call, outcome) if isinstance(outcome, msgspec.Raw) else None
        if isinstance(height, ProbekitError):
            kept.append(height)
        elif height is not None and height < floor:
            kept.append(_behind(family, label, floor, call, height))
        else:
            kept.append(outcome)
    return kept


def none_reached(family: ChainFamily, error: NotReached, reached: dict[str, int | None]) -> NotReached:
    """``error`` of one endpoint, told of all that are behind."""
    heights = ", ".join(
        f"{label} is behind" if height is None else f"{label} is at {height}" for label, height in reached.items()
    )
    text = f"{error.method}: no endpoint has reached {family.unit} {error.floor}: {heights}"
    return NotReached(text, method=error.method, floor=error.floor, reached=tuple(reached.items()))


def _behind(family: ChainFamily, label: str, floor: int, call: Call, height: int | None) -> NotReached:
    at = "" if height is None else f", it is at {height}"
    text = f"{call.method}: {family.unit} {floor} is not reached{at}"
    return NotReached(text, method=call.method, floor=floor, reached=((label, height),))


def _height(family: ChainFamily, guard: Call, outcome: Outcome) -> int | ProbekitError:
    if isinstance(outcome, ProbekitError):
        if may_ask_another(outcome) or not isinstance(outcome, RpcError):
            return outcome
        # An answer to this question, but none to the one that was asked: another may tell.
        text = f"it does not tell how far it is: {outcome.message}"
        return NotServed(text, code=outcome.code, data=outcome.data, method=guard.method)
    height = family.told(guard, outcome)
    return DecodeError(f"the answer to {guard.method} tells no {family.unit}", raw=bytes(outcome)) if height is None else height


def _context_slot(error: NotServed) -> int | None:
    told = error.data.get("contextSlot") if isinstance(error.data, dict) else None
    return told if isinstance(told, int) and not isinstance(told, bool) else None
