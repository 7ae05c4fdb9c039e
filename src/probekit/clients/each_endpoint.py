"""Every endpoint of a chain asked by itself and all at once: what probes of RPC endpoints share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from probekit.clock import Clock, reap, within
from probekit.errors import DeadlineExceeded, ProbekitError, WrongChain
from probekit.model import Target
from probekit.units import format_ns, to_ns

if TYPE_CHECKING:
    from probekit.clients.chain_options import ChainOption

__all__ = ["at_once", "endpoint_target", "endpoint_targets", "own_or_common", "release_wrong", "same_chain", "too_few"]

T = TypeVar("T")
C = TypeVar("C")


def endpoint_target(chain: str, label: str) -> str:
    """Id of the target that is one endpoint of a chain."""
    return f"{chain}/{label}"


def endpoint_targets(what: str, chains: Mapping[str, ChainOption]) -> list[Target]:
    """Each chain, called ``what`` and its name, and each of its endpoints."""
    found = []
    for name, chain in chains.items():
        found.append(Target(name, "endpoint", f"{what} {name}"))
        found += [Target(endpoint_target(name, one.label), "endpoint", f"{one.label} of {name}") for one in chain.nodes]
    return found


def own_or_common(common: object, own: ChainOption, name: str) -> Any:
    """The option ``name`` of a chain where it has one, else the one that all chains have in common."""
    found = getattr(own, name)
    return getattr(common, name) if found is None else found


def too_few(option: str, name: str, chain: ChainOption, wanted: int, wants: str) -> Iterator[str]:
    """The sentence for a chain that has fewer endpoints than its option ``wants`` asks for; nothing where it has enough."""
    if wanted > len(chain.endpoints):
        yield f"{option}: {name} has {len(chain.endpoints)} endpoints, and {wants} wants {wanted}"


async def at_once(
    asked: Mapping[str, Awaitable[T]], *, clock: Clock, timeout: timedelta
) -> dict[str, tuple[T | ProbekitError, int]]:
    """Ask all (by label) together within ``timeout``: each its value or its error, and how long it took in ns."""
    import asyncio

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


async def release_wrong(
    release: Callable[[C], Awaitable[None]], clients: Mapping[str, C], answers: Iterable[tuple[str, Any]]
) -> None:
    """Release (``ctx.release``) the clients of endpoints, of (label, value or error), that serve another chain: a pool never
    asks such a one again, and one that was mended would not be seen.
    """
    for label, one in answers:
        if isinstance(one, WrongChain) and label in clients:
            await release(clients[label])
