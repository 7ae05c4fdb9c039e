"""probekit: knowing, within seconds and with proof, that a price oracle is right and alive end to end.

Names are imported when first used: ``import probekit`` itself loads almost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from probekit._lazy import exported
from probekit._version import __version__

if TYPE_CHECKING:
    from probekit import checks, errors, trust
    from probekit.clients.batch import Batch
    from probekit.clients.benchmarks import BenchmarksClient
    from probekit.clients.entropy import EntropyClient
    from probekit.clients.evm import EvmClient
    from probekit.clients.evm_stream import EvmStreams
    from probekit.clients.exchanges import ExchangesClient
    from probekit.clients.feedbook import FeedBook
    from probekit.clients.fortuna import FortunaClient
    from probekit.clients.hermes import HermesClient, StreamChange
    from probekit.clients.lazer import LazerClient
    from probekit.clients.lazer_chain import LazerVerifierClient
    from probekit.clients.pyth_evm import PythEvmClient
    from probekit.clients.pythnet import PythnetClient
    from probekit.clients.rebroadcast import Rebroadcast
    from probekit.clients.receiver import ReceiverClient
    from probekit.clients.solana import SolanaClient
    from probekit.clients.solana_stream import SolanaStreams
    from probekit.clients.wormhole import EvmReceiverClient, WormholeClient
    from probekit.entry import main
    from probekit.model import (
        Comparison,
        Failure,
        Feed,
        FeedId,
        MarketHours,
        Observation,
        Price,
        PriceUpdate,
        ProbeRun,
        Status,
        Target,
        TrustRoot,
        Vantage,
        Verdict,
        Verified,
    )
    from probekit.model.evm import Address
    from probekit.model.pubkey import Pubkey
    from probekit.model.reference_price import MedianRule, ReferencePrice, median
    from probekit.model.solana import TokenHolding
    from probekit.probe import Context, Options, Probe, doc
    from probekit.runner import RunSettings, run_once, watch
    from probekit.secret import Secret
    from probekit.transports.rpc import Endpoint, EndpointPool
    from probekit.transports.rpc.subscription import FeedCounters
    from probekit.trust import verify
    from probekit.units import Amount, Bps, ByteSize, Instant

_WHERE = {
    "Address": "model.evm",
    "Amount": "units",
    "Batch": "clients.batch",
    "BenchmarksClient": "clients.benchmarks",
    "Bps": "units",
    "ByteSize": "units",
    "Comparison": "model",
    "Context": "probe",
    "Endpoint": "transports.rpc",
    "EndpointPool": "transports.rpc",
    "EntropyClient": "clients.entropy",
    "EvmClient": "clients.evm",
    "EvmReceiverClient": "clients.wormhole",
    "EvmStreams": "clients.evm_stream",
    "ExchangesClient": "clients.exchanges",
    "Failure": "model",
    "Feed": "model",
    "FeedBook": "clients.feedbook",
    "FeedCounters": "transports.rpc.subscription",
    "FeedId": "model",
    "FortunaClient": "clients.fortuna",
    "HermesClient": "clients.hermes",
    "Instant": "units",
    "LazerClient": "clients.lazer",
    "LazerVerifierClient": "clients.lazer_chain",
    "MarketHours": "model",
    "MedianRule": "model.reference_price",
    "Observation": "model",
    "Options": "probe",
    "Price": "model",
    "PriceUpdate": "model",
    "Probe": "probe",
    "ProbeRun": "model",
    "Pubkey": "model.pubkey",
    "PythEvmClient": "clients.pyth_evm",
    "PythnetClient": "clients.pythnet",
    "Rebroadcast": "clients.rebroadcast",
    "ReceiverClient": "clients.receiver",
    "ReferencePrice": "model.reference_price",
    "RunSettings": "runner",
    "Secret": "secret",
    "SolanaClient": "clients.solana",
    "SolanaStreams": "clients.solana_stream",
    "Status": "model",
    "StreamChange": "clients.hermes",
    "Target": "model",
    "TokenHolding": "model.solana",
    "TrustRoot": "model",
    "Vantage": "model",
    "Verdict": "model",
    "Verified": "model",
    "WormholeClient": "clients.wormhole",
    "doc": "probe",
    "main": "entry",
    "median": "model.reference_price",
    "run_once": "runner",
    "verify": "trust",
    "watch": "runner",
}
_MODULES = frozenset(("checks", "errors", "trust"))

__all__ = [
    "Address",
    "Amount",
    "Batch",
    "BenchmarksClient",
    "Bps",
    "ByteSize",
    "Comparison",
    "Context",
    "Endpoint",
    "EndpointPool",
    "EntropyClient",
    "EvmClient",
    "EvmReceiverClient",
    "EvmStreams",
    "ExchangesClient",
    "Failure",
    "Feed",
    "FeedBook",
    "FeedCounters",
    "FeedId",
    "FortunaClient",
    "HermesClient",
    "Instant",
    "LazerClient",
    "LazerVerifierClient",
    "MarketHours",
    "MedianRule",
    "Observation",
    "Options",
    "Price",
    "PriceUpdate",
    "Probe",
    "ProbeRun",
    "Pubkey",
    "PythEvmClient",
    "PythnetClient",
    "Rebroadcast",
    "ReceiverClient",
    "ReferencePrice",
    "RunSettings",
    "Secret",
    "SolanaClient",
    "SolanaStreams",
    "Status",
    "StreamChange",
    "Target",
    "TokenHolding",
    "TrustRoot",
    "Vantage",
    "Verdict",
    "Verified",
    "WormholeClient",
    "__version__",
    "checks",
    "doc",
    "errors",
    "main",
    "median",
    "run_once",
    "trust",
    "verify",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"probekit.{name}")
    return exported(__name__, name, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
