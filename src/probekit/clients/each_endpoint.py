"""Every endpoint of a chain asked by itself and all at once: what probes of RPC endpoints share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from probekit.clock import Clock, reap, within
from probekit.errors import DeadlineExceeded, ProbekitError, WrongChain
from probekit.units import format_ns, to_ns

__all__ = ["at_once", "endpoint_target", "same_chain", "wrong_chains"]

T = TypeVar("T")


def endpoint_target(chain: str, label: str) -> str:
    """Id of the target that is one endpoint of a chain."""
    return f"{chain}/{label}"


async def at_once(
    asked: Mapping[str, Awaitable[T]], *, clock: Clock, timeout: timedelta
) -> dict[str, tuple[T | ProbekitError, int]]:
    """Ask all (by label) together within ``timeout``: each its value or its error, and how long it took in ns."""
    began_ns = clock.monotonic_ns()

    async def one(ask: Awaitable[T]) -> tuple[T | ProbekitError, int]:
        try:
            found: T | ProbekitError = await within(clock, began_ns + to_ns(timeout), ask)
        except TimeoutError:
            found = DeadlineExceeded(f"no answer within {format_ns(to_ns(timeout))}")
        except ProbekitError as error:
            found = error
        return found, clock.monotonic_ns() - began_ns

    tasks = [asyncio.ensure_future(one(ask)) for ask in asked.values()]
    try:
        return dict(zip(asked, await asyncio.gather(*tasks), strict=True))
    finally:
        await reap(*tasks)


def same_chain(label: str, found: str, expected: str) -> None:
    """Raise ``WrongChain`` where an endpoint says that it serves another."""
    if found != expected:
        raise WrongChain(f"{label} serves chain {found}, not {expected}", expected=expected, found=found)


def wrong_chains(answers: Iterable[tuple[str, Any]]) -> list[str]:
    """Labels of the endpoints, of (label, value or error), that serve another chain. A pool never asks such a one again, so
    that the client of it has to be released (``ctx.release``) for one that was mended to be seen.
    """
    return [label for label, one in answers if isinstance(one, WrongChain)]
