"""The first of a name's addresses that takes a connection, for those to whom it is all one which: the next is tried when one
has failed, or has said nothing for a while (RFC 8305, "happy eyeballs").

Of what is measured, one address family is asked, and never two at once: :mod:`probekit.transports.dial`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, zip_longest
from typing import Final, TypeVar

from probekit.transports.lookup import Lookups, Place

T = TypeVar("T")

_NEXT_S: Final = 0.25
"""RFC 8305, section 5: the connection attempt delay."""


async def reach(lookups: Lookups, host: str, port: int) -> socket.socket:
    """A connected socket that does not block; it is its taker's to close. Raises ``OSError``."""
    return await first(await lookups.found(host, port), _connected, lambda late: late.close())


async def first(
    places: Sequence[Place],
    connect: Callable[[Place], Awaitable[T]],
    drop: Callable[[T], object],
    failures: tuple[type[Exception], ...] = (OSError,),
) -> T:
    """What ``connect`` makes of one of ``places``, which are tried in the order given, families in turn. What comes too late is
    dropped. Raises the first of the ``failures``; ``OSError`` where there are no places.
    """
    left = _in_turn(places)
    trying: set[asyncio.Future[T]] = set()
    failed: list[Exception] = []
    try:
        while left or trying:
            if left:
                trying.add(asyncio.ensure_future(connect(left.pop(0))))
            done, _ = await asyncio.wait(trying, timeout=_NEXT_S if left else None, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                if isinstance(error := one.exception(), failures):
                    trying.discard(one)
                    failed.append(error)
            if won := [one for one in done if one in trying]:
                trying.discard(won[0])
                return won[0].result()
    finally:
        for one in trying:
            one.cancel()
            one.add_done_callback(lambda late: None if late.cancelled() or late.exception() else drop(late.result()))
    raise failed[0] if failed else OSError("there is no address")


async def _connected(place: Place) -> socket.socket:
    family, address = place
    plain = socket.socket(family, socket.SOCK_STREAM)
    try:
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, address)
    except BaseException:
        plain.close()
        raise
    return plain


def _in_turn(places: Sequence[Place]) -> list[Place]:
    """Families by turns, that of the first before the others."""
    known = dict.fromkeys(family for family, _ in places)
    turns = zip_longest(*([one for one in places if one[0] == family] for family in known))
    return [one for one in chain.from_iterable(turns) if one is not None]
