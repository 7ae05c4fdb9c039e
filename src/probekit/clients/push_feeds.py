"""Push feeds as an operator describes them: what their pushers promise, and the chains, endpoints and contracts they go to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final, Generic, Protocol, TypeVar

import msgspec
from msgspec import Meta

from probekit.clients.chain_options import endpoints_of
from probekit.codecs.evm import registry
from probekit.codecs.evm.registry import ContractKind, Deployment
from probekit.model import Feed, Target
from probekit.model.evm import Address
from probekit.model.options import Options, doc, require_positive
from probekit.secret import Secret
from probekit.units import Bps

if TYPE_CHECKING:
    from probekit.transports.rpc import Endpoint

__all__ = ["PushChain", "PushFeed", "PushOptions", "PushRoute", "asked_for", "contract_address"]

_DEPLOYMENTS: Final = {"stable": Deployment.STABLE, "pro": Deployment.PRO}


class PushFeed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A push feed: what its pushers promise. ``None`` takes what the probe's own options say."""

    feed: Annotated[str, Meta(description="feed id (64 hex digits) or symbol")]
    heartbeat: Annotated[timedelta | None, Meta(description="longest time between two updates")] = None
    max_deviation: Annotated[Bps | None, Meta(description="distance from the source at which it is updated")] = None

    def __post_init__(self) -> None:
        require_positive(self, "heartbeat", "max_deviation")


def contract_address(chain_id: int, contract: str) -> Address:
    """The address of ``stable`` or ``pro`` on a chain, by the registry, or an address itself. Raises ``ValueError``."""
    if contract not in _DEPLOYMENTS:
        try:
            return Address(contract)
        except ValueError as error:
            raise ValueError(f"contracts: neither stable nor pro, and {error}") from None
    found = registry.contracts(chain_id, ContractKind.PYTH, _DEPLOYMENTS[contract])
    if len(found) != 1:
        raise ValueError(f"contracts: {len(found)} {contract} ones are known on chain {chain_id}: give the address")
    return found[0].address


class PushChain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A chain that feeds are pushed to. Raises ``ValueError`` for a chain or contract that is not known."""

    chain: Annotated[str, Meta(description="name in the registry, or EVM chain id")]
    endpoints: Annotated[tuple[str, ...], Meta(description="RPC URLs of one pool; {key} stands for the key")]
    key: Annotated[Secret | None, Meta(description="reference to the key that the URLs want")] = None
    contracts: Annotated[tuple[str, ...], Meta(description="stable, pro, or addresses")] = ("stable",)
    feeds: Annotated[tuple[PushFeed, ...], Meta(description="feeds of this chain in place of the common ones")] = ()
    max_head_age: Annotated[timedelta | None, Meta(description="in place of the common one")] = None

    def __post_init__(self) -> None:
        require_positive(self, "max_head_age")
        if not self.endpoints:
            raise ValueError("endpoints must not be empty")
        endpoints_of(self.endpoints, self.key)
        if len({contract_address(self.chain_id, contract) for contract in self.contracts}) != len(self.contracts):
            raise ValueError("contracts names one address twice")
        if not self.contracts:
            raise ValueError("contracts must not be empty")

    @property
    def chain_id(self) -> int:
        """The EVM's number. Raises ``ValueError`` for a name that the registry does not have."""
        if self.chain.isdigit():
            return int(self.chain)
        known = registry.chain(self.chain)
        if known is None:
            raise ValueError(f"chain {self.chain!r} is not in the registry: give its EVM chain id")
        return known.chain_id

    @property
    def id(self) -> str:
        """The chain's target: its name in the registry, or ``evm:`` and its number."""
        known = registry.chain(self.chain_id)
        return known.name if known is not None else f"evm:{self.chain_id}"

    @property
    def addresses(self) -> dict[str, Address]:
        """The contracts by what the operator wrote."""
        return {contract: contract_address(self.chain_id, contract) for contract in self.contracts}

    @property
    def nodes(self) -> list[Endpoint]:
        """The endpoints, each with the key that its URL wants."""
        return endpoints_of(self.endpoints, self.key)


def asked_for(feeds: Iterable[PushFeed], feed: Feed | None, name: str) -> PushFeed:
    """What was said of ``feed``, which an operator may have called by its symbol or its id; of one not known yet, ``name``."""
    spelt = (name,) if feed is None else (feed.symbol, feed.id, f"0x{feed.id}")
    told = {one.feed.lower(): one for one in feeds}
    return next((told[one.lower()] for one in spelt if one.lower() in told), PushFeed(feed=name))


class PushRoute(Protocol):
    """What feeds are pushed to: a chain of whatever kind, whose target is ``id``."""

    @property
    def id(self) -> str: ...
    @property
    def feeds(self) -> tuple[PushFeed, ...]: ...
    @property
    def max_head_age(self) -> timedelta | None: ...


C = TypeVar("C", bound=PushChain)


class PushOptions(Options, Generic[C], frozen=True, kw_only=True):
    """What every probe of push feeds on EVM chains asks an operator. ``C`` is how a chain is described."""

    chains: Annotated[tuple[C, ...], doc("chains to watch")]
    feeds: Annotated[tuple[PushFeed, ...], doc("feeds to watch on every chain")] = ()
    heartbeat: Annotated[timedelta, doc("heartbeat of feeds that name none")] = timedelta(hours=1)
    lands_within: Annotated[timedelta, doc("time that a push may take")] = timedelta(seconds=60)
    max_deviation: Annotated[Bps | None, doc("deviation of feeds that name none; left out: not judged")] = None
    open_grace: Annotated[timedelta, doc("how long after an opening an old price is not held against a feed")] = timedelta(
        minutes=5
    )
    max_head_age: Annotated[timedelta, doc("age of the newest block at which a chain stands still")] = timedelta(seconds=60)
    alive_endpoints: Annotated[int, doc("endpoints of each chain that must be alive"), Meta(ge=1)] = 1
    hermes: Annotated[str, doc("base URL of the source: symbols, market hours and prices to compare with")] = (
        "https://hermes.pyth.network"
    )
    api_key: Annotated[Secret | None, doc("reference to the API key: env:NAME, file:/path or credential:name")] = None
    timeout: Annotated[timedelta, doc("how long a chain or the source may take to answer")] = timedelta(seconds=5)

    def __post_init__(self) -> None:
        if not self.routes:
            raise ValueError("chains must not be empty")
        self.require("heartbeat", "max_head_age", "max_deviation", "timeout")
        for name in ("lands_within", "open_grace"):
            if getattr(self, name) < timedelta(0):
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)}")
        ids = [route.id for route in self.routes]
        if len(set(ids)) != len(ids):
            raise ValueError("chains names one chain twice: give it all its contracts and endpoints at once")
        if bare := [route.id for route in self.routes if not (route.feeds or self.feeds)]:
            raise ValueError(f"feeds must not be empty: {', '.join(bare)} has none")

    @property
    def routes(self) -> tuple[PushRoute, ...]:
        """Everything that feeds are pushed to."""
        return self.chains

    def feeds_of(self, route: PushRoute) -> dict[str, PushFeed]:
        """The feeds of a chain by what the operator wrote."""
        return {one.feed: one for one in route.feeds or self.feeds}

    def asked_for(self, target: Target) -> tuple[PushRoute, PushFeed | None]:
        """What an operator said of a target: its chain, and the feed where it is one."""
        route_id, _, name = (*target.id.split("/", 2), "", "")[:3]
        route = next(one for one in self.routes if one.id == route_id)
        return route, asked_for(self.feeds_of(route).values(), target.feed, name) if name else None
