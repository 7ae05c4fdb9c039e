"""Push feeds as an operator describes them: what their pushers promise, and the chains, endpoints and contracts they go to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from probekit.clients.evm import EvmClient
from probekit.clock import Clock
from probekit.codecs.evm import registry
from probekit.codecs.evm.registry import ContractKind, Deployment
from probekit.model import Feed, RequestRecord
from probekit.model.evm import Address
from probekit.secret import Secret
from probekit.transports.base import Engine, Observer
from probekit.transports.rpc import Endpoint, PoolPolicy
from probekit.transports.rpc.record import CallObserver, ChangeObserver
from probekit.units import Bps

__all__ = ["LastAsked", "PushChain", "PushFeed", "asked_for", "contract_address", "endpoints_of", "require_positive"]

_DEPLOYMENTS: Final = {"stable": Deployment.STABLE, "pro": Deployment.PRO}


def require_positive(options: object, *names: str) -> None:
    """Raise ``ValueError`` naming the first of these fields that is zero or less. One that is ``None`` is none of them."""
    for name in names:
        value = getattr(options, name)
        if value is None:
            continue
        number = value.value if isinstance(value, Bps) else value
        if number <= type(number)():
            raise ValueError(f"{name} must be positive, not {value}")


def endpoints_of(urls: Iterable[str], key: Secret | None) -> list[Endpoint]:
    """The endpoints of a pool; ``{key}`` in a URL stands for ``key``. Raises ``ValueError`` for a URL that is none, and for
    two of one name.
    """
    try:
        made = [Endpoint(url, key=key if "{key}" in url else None) for url in urls]
    except ValueError as error:
        raise ValueError(f"endpoints: {error}") from None
    labels = [one.label for one in made]
    if len(set(labels)) != len(labels):
        raise ValueError(f"endpoints names one twice: {', '.join(labels)}")
    return made


class LastAsked:
    """An observer in front of ``observer`` that knows the origin asked last: where an answer of a pool came from."""

    def __init__(self, observer: Observer, otherwise: str) -> None:
        self._observer = observer
        self.origin = otherwise
        """``scheme://host:port`` of the newest attempt; ``otherwise`` before the first."""

    def __call__(self, record: RequestRecord) -> None:
        parts = urlsplit(record.url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self._observer(record)


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

    def client(
        self,
        *,
        transport: Engine,
        timeout: timedelta,
        observer: Observer,
        on_call: CallObserver,
        on_change: ChangeObserver,
        clock: Clock,
    ) -> EvmClient:
        """A client of the chain over a pool of its endpoints."""
        return EvmClient(
            endpoints_of(self.endpoints, self.key),
            chain_id=self.chain_id,
            chain=self.id,
            transport=transport,
            policy=PoolPolicy(timeout=timeout),
            observer=observer,
            on_call=on_call,
            on_change=on_change,
            clock=clock,
        )


def asked_for(feeds: Iterable[PushFeed], feed: Feed | None, name: str) -> PushFeed:
    """What was said of ``feed``, which an operator may have called by its symbol or its id; of one not known yet, ``name``."""
    spelt = (name,) if feed is None else (feed.symbol, feed.id, f"0x{feed.id}")
    told = {one.feed.lower(): one for one in feeds}
    return next((told[one.lower()] for one in spelt if one.lower() in told), PushFeed(feed=name))
