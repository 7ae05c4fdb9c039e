"""A governance message (``PTGM``), both ways.

Layout: ``PTGM`` · module u8 · action u8 · target chain u16, big-endian · what the action has. Actions:
:mod:`probekit.codecs.governance.layouts` and, for module 3 on Stacks, :mod:`probekit.codecs.governance.stacks`.
"""

from __future__ import annotations

import struct
from typing import Final

from probekit.codecs.governance import stacks
from probekit.codecs.governance.cursor import Cursor
from probekit.codecs.governance.layouts import LAYOUTS, Layout
from probekit.errors import DecodeError
from probekit.model.governance import STACKS_CHAINS, GovernanceAction, GovernanceMessage, UnknownAction

MAGIC: Final = b"PTGM"
_HEADER: Final = struct.Struct(">4sBBH")
_STACKS_MODULE: Final = 3
_BY_NUMBER: Final = {(layout.action.module, layout.action.number): layout for layout in LAYOUTS}


def decode(data: bytes) -> GovernanceMessage:
    """Decode a whole message. An action that is not known is kept as bytes. Raises ``DecodeError``."""
    if len(data) < _HEADER.size:
        raise DecodeError(f"a governance message of {len(data)} bytes is cut short", raw=data, offset=0)
    magic, module, number, chain = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise DecodeError(f"starts with {magic.hex()}, not with {MAGIC.hex()} (PTGM)", raw=data, offset=0)
    layout = _layout(module, number, chain)
    if layout is None:
        return GovernanceMessage(chain, UnknownAction(module, number, data[_HEADER.size :]))
    cursor = Cursor(data, f"action {number} of module {module}")
    cursor.offset = _HEADER.size
    action = layout.read(cursor)
    cursor.end()
    return GovernanceMessage(chain, action)


def encode(message: GovernanceMessage) -> bytes:
    """The bytes of a message; the inverse of :func:`decode`.

    Raises ``ValueError`` when a field does not fit its place, or the target chain has another action of that number.
    """
    action = message.action
    try:
        head = _HEADER.pack(MAGIC, action.module, action.number, message.target_chain)
    except struct.error as error:
        raise ValueError(f"a field of the header does not fit its place: {error}") from None
    return head + _payload(action, _layout(action.module, action.number, message.target_chain), message.target_chain)


def _payload(action: GovernanceAction, layout: Layout | None, chain: int) -> bytes:
    if layout is None and isinstance(action, UnknownAction):
        return action.payload
    if layout is None or not isinstance(action, layout.action):
        due = "no known action" if layout is None else layout.action.__name__
        raise ValueError(f"action {action.number} of module {action.module} on chain {chain} is {due}, not {action.name}")
    return layout.write(action)


def _layout(module: int, number: int, chain: int) -> Layout | None:
    if module == _STACKS_MODULE and chain in STACKS_CHAINS:
        return stacks.LAYOUTS.get(number)
    return _BY_NUMBER.get((module, number))
