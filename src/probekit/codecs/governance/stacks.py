"""Module 3 on Stacks, whose contracts have actions of their own.

Source: stacks-pyth-bridge ``contracts/pyth-governance-v3.clar``; SIP-005 for principals. Its first version took principals
without their length and other governance sources, and is no longer in use.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from probekit.codecs.governance.cursor import Cursor, big, prefixed, source, sources
from probekit.codecs.governance.layouts import Layout, scaled
from probekit.codecs.solana.borsh import exactly
from probekit.model import governance as model
from probekit.model.pyth_evm import DataSource

_STANDARD, _CONTRACT = 0x05, 0x06
_CONTRACT_NAME: Final = re.compile(rb"[A-Za-z]([A-Za-z0-9]|[-_]){0,127}")


def _read_address(role: model.StacksRole, cursor: Cursor) -> model.StacksSetAddress:
    size = cursor.big(1)
    if size != cursor.left:
        raise cursor.error(f"a principal of {size} bytes, {cursor.left} are there", back=1)
    kind, version, hash160 = cursor.big(1), cursor.big(1), cursor.take(20)
    if kind not in (_STANDARD, _CONTRACT):
        raise cursor.error(f"kind {kind} is no principal", back=22)
    contract = None
    if kind == _CONTRACT:
        name = cursor.prefixed()
        if _CONTRACT_NAME.fullmatch(name) is None:
            raise cursor.error("a contract's name that is none", back=len(name))
        contract = name.decode("ascii")
    return model.StacksSetAddress(role, model.StacksPrincipal(version, hash160, contract))


def _write_address(action: model.StacksSetAddress) -> bytes:
    one = action.principal
    body = big(one.version, 1) + exactly(one.hash160, 20, "a hash160")
    if one.contract is None:
        return prefixed(bytes((_STANDARD,)) + body)
    name = one.contract.encode()
    if _CONTRACT_NAME.fullmatch(name) is None:
        raise ValueError(f"{one.contract[:80]!r} is no name of a contract")
    return prefixed(bytes((_CONTRACT,)) + body + prefixed(name))


def _read_governance(cursor: Cursor) -> model.StacksSetGovernance:
    chain, sequence, emitter = cursor.big(2), cursor.big(8), cursor.take(32)
    return model.StacksSetGovernance(DataSource(chain, emitter), sequence)


def _write_governance(action: model.StacksSetGovernance) -> bytes:
    written = source(action.source)
    return written[:2] + big(action.sequence, 8) + written[2:]


LAYOUTS: Final = {
    model.StacksSetGovernance.number: Layout(model.StacksSetGovernance, _read_governance, _write_governance),
    model.StacksSetDataSources.number: Layout(
        model.StacksSetDataSources, lambda c: model.StacksSetDataSources(c.sources()), lambda a: sources(a.sources)
    ),
    model.StacksSetFee.number: Layout(model.StacksSetFee, lambda c: model.StacksSetFee(c.big(8), c.big(8)), scaled),
    model.StacksSetStalePriceThreshold.number: Layout(
        model.StacksSetStalePriceThreshold,
        lambda c: model.StacksSetStalePriceThreshold(c.big(8)),
        lambda a: big(a.seconds, 8),
    ),
} | {
    number: Layout(model.StacksSetAddress, partial(_read_address, role), _write_address)
    for role, number in model.STACKS_ROLE_NUMBERS.items()
}
"""By the action's number."""
