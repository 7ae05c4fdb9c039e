"""One endpoint's answer to a question that several are asked."""

from __future__ import annotations

import msgspec


class RpcAnswer(msgspec.Struct, frozen=True):
    """``value`` in words that are equal where the answers are, and the block or slot that it is of."""

    value: str
    height: int
