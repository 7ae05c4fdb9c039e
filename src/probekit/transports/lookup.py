"""Names to addresses, each look-up in a thread of its own.

A resolver that hangs cannot be interrupted. In the event loop's pool of a few threads it would hold up every other look-up;
here it holds up those of its own name, which share it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from ipaddress import ip_address
from typing import Any, Final

from probekit.errors import ResolveError
from probekit.model.observation import AddressFamily

_FAMILIES: Final = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6, None: socket.AF_UNSPEC}

Place = tuple[int, tuple[Any, ...]]
"""A socket family, and the address as ``connect`` takes it."""


class Lookups:
    """The look-ups of one event loop. At most one of a name is under way at a time; none is kept once it has been answered."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, int, AddressFamily | None], asyncio.Future[list[Place] | OSError]] = {}

    async def addresses(self, host: str, port: int, family: AddressFamily | None) -> list[Place]:
        """Where ``host`` is, in the resolver's order; an address is its own. Raises ``ResolveError``."""
        try:
            ip_address(host)
        except ValueError:
            found = await self._shared(host, port, family)
        else:
            found = _look_up(host, port, family, socket.AI_NUMERICHOST)
        if isinstance(found, OSError):
            raise ResolveError(f"{host}: {found.strerror or found}")
        return found

    async def _shared(self, host: str, port: int, family: AddressFamily | None) -> list[Place] | OSError:
        key = (host, port, family)
        future = self._under_way.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            future = self._under_way[key] = loop.create_future()
            answer = future

            def settle(found: list[Place] | OSError) -> None:
                self._under_way.pop(key, None)
                if not answer.done():
                    answer.set_result(found)

            def work() -> None:
                found = _look_up(host, port, family)
                # The loop may have ended in the meantime: then nobody waits.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(settle, found)

            threading.Thread(target=work, name=f"look-up {host}", daemon=True).start()
        return await asyncio.shield(future)


def _look_up(host: str, port: int, family: AddressFamily | None, flags: int = 0) -> list[Place] | OSError:
    try:
        found = socket.getaddrinfo(host, port, _FAMILIES[family], socket.SOCK_STREAM, flags=flags)
    except OSError as error:
        return error
    except UnicodeError:
        return OSError(f"{host[:80]!r} is no name that can be looked up")
    return [(one[0], one[4]) for one in found]
