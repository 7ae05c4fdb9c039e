"""The public surface, pinned: adding is a decision, removing breaks people."""

from __future__ import annotations

import importlib

import pytest

import probekit as pk

PINNED = [
    "Address", "Amount", "Batch", "BenchmarksClient", "Bps", "ByteSize", "Comparison", "Context", "Endpoint",
    "EndpointPool", "EntropyClient", "EvmClient", "EvmReceiverClient", "EvmStreams", "ExchangesClient", "Failure",
    "Feed", "FeedBook", "FeedCounters", "FeedId", "FortunaClient", "HermesClient", "Instant", "LazerClient",
    "LazerVerifierClient", "MarketHours", "MedianRule", "Observation", "Options", "Price", "PriceUpdate", "Probe",
    "ProbeRun", "Pubkey", "PythEvmClient", "PythnetClient", "Rebroadcast", "ReceiverClient", "ReferencePrice",
    "RunSettings", "Secret", "SolanaClient", "SolanaStreams", "Status", "StreamChange", "Target", "TokenHolding",
    "TrustRoot", "Vantage", "Verdict", "Verified", "WormholeClient", "__version__", "checks", "doc", "errors", "main",
    "median", "run_once", "trust", "verify", "watch",
]  # fmt: skip


def test_the_public_names() -> None:
    assert sorted(pk.__all__) == sorted(PINNED)
    assert dir(pk) == sorted(PINNED)


@pytest.mark.parametrize("name", PINNED)
def test_every_name_is_there(name: str) -> None:
    assert getattr(pk, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        pk.nothing_like_it  # noqa: B018


@pytest.mark.parametrize("module", ["checks", "model", "trust", "testing", "runner", "manifest", "telemetry"])
def test_modules_export_what_they_list(module: str) -> None:
    loaded = importlib.import_module(f"probekit.{module}")
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []
