"""Chains as an operator describes them, for probes that read several: how to reach one, and what it must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

from probekit.codecs.evm import registry
from probekit.errors import ProbekitError
from probekit.model import RequestRecord
from probekit.model.solana import GENESIS
from probekit.secret import Secret
from probekit.transports.base import Observer
from probekit.transports.rpc import Endpoint

__all__ = ["CLUSTERS", "ChainOption", "LastAsked", "endpoints_of", "shared_failure"]

CLUSTERS: Final = {"solana": "mainnet-beta", "solana_devnet": "devnet", "solana_testnet": "testnet"}
"""Chains of the Solana family by name, and their cluster's."""


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


class ChainOption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a chain is read. What the registry knows of the chain's name, the key in ``chains``, need not be said.

    Derive from it for what a probe wants to know beside that.
    """

    endpoints: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    key: Secret | None = None
    chain_id: int | None = None
    genesis_hash: str | None = None

    def __post_init__(self) -> None:
        if self.chain_id is not None and self.genesis_hash is not None:
            raise ValueError("chain_id is for EVM chains, genesis_hash for Solana's kind: give one")
        endpoints_of(self.endpoints, self.key)

    @property
    def nodes(self) -> list[Endpoint]:
        """The endpoints, each with the key that its URL wants."""
        return endpoints_of(self.endpoints, self.key)

    def family(self, name: str) -> Literal["evm", "svm"] | None:
        """What kind of chain it is; ``None`` where neither its name nor its options say."""
        if self.genesis_hash is not None or (name in CLUSTERS and self.chain_id is None):
            return "svm"
        return None if self.evm_id(name) is None else "evm"

    def evm_id(self, name: str) -> int | None:
        """The EVM's number."""
        known = registry.chain(name)
        return self.chain_id if self.chain_id is not None or known is None else known.chain_id

    def genesis(self, name: str) -> str | None:
        """The hash that nodes of the cluster serve."""
        return self.genesis_hash or GENESIS.get(CLUSTERS.get(name, ""))


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


def shared_failure(found: Sequence[object], own: tuple[type[ProbekitError], ...]) -> ProbekitError | None:
    """What a chain failed with as a whole: the first error, where there are only errors and none of a kind in ``own``, which
    say something of one account or contract and nothing of the endpoint.
    """
    lost = [one for one in found if isinstance(one, ProbekitError) and not isinstance(one, own)]
    return lost[0] if lost and len(lost) == len(found) else None
