"""Options of the Pythnet probes: limits by scope, every wrong combination told in one pass, and the checks they become."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from probekit.checks import FeedOffline, PublisherOffline, PublisherScore, PublisherStalled
from probekit.checks.layers import layered, refusals
from probekit.errors import ConfigError
from probekit.manifest import read_manifest
from probekit.model import Feed, FeedId, Target
from probekit.model.pubkey import Pubkey
from probekit.probe import Probe
from tests.support.sandbox import load, module_of

S = timedelta(seconds=1)
NODE = ("http://node.test",)
ALICE = Pubkey(bytes([7]) * 32)
CATALOGUE = Path(__file__).parents[3] / "probes"


def feed(symbol: str, asset_type: str = "Crypto") -> Target:
    described = Feed.from_row("ab" * 32, {"symbol": symbol, "asset_type": asset_type})
    return Target(str(FeedId("ab" * 32)), "feed", symbol, described)


def checks_of(probe: Probe[Any], target: Target, **options: Any) -> dict[str, Any]:
    return {check.name: check for check in probe.checks(probe.options(endpoints=NODE, **options), target)}


def test_limits_by_class_symbol_and_publisher_each_over_the_one_below() -> None:
    probe = load("pythnet_publishers")
    limits, own = module_of(probe).Limits, module_of(probe).PublisherLimits
    options: dict[str, Any] = {
        "publishers": {"Alice": ALICE},
        "offline_slots": 30,
        "by_asset_class": {"fx": limits(offline_slots=40, stall=60 * S, feed_offline_slots=7)},
        "by_symbol": {"FX.EUR/USD": limits(offline_slots=50)},
        "by_publisher": {"Alice": own(offline_slots=60, min_score=Decimal("0.1"))},
    }
    crypto = checks_of(probe, feed("Crypto.BTC/USD"), **options)
    assert crypto["publisher_offline"].max_slots == 30
    assert crypto["feed_offline"] == FeedOffline(120)
    euro = checks_of(probe, feed("FX.EUR/USD", "FX"), **options)
    offline, stalled, score = (euro[name] for name in ("publisher_offline", "publisher_stalled", "publisher_score"))
    assert isinstance(offline, PublisherOffline)
    assert isinstance(stalled, PublisherStalled)
    assert isinstance(score, PublisherScore)
    assert (offline.max_slots, offline.per_publisher[0][0], offline.per_publisher[0][1].max_slots) == (50, ALICE, 60)
    assert (stalled.stall, stalled.max_slots, stalled.per_publisher[0][1].stall) == (60 * S, 50, 60 * S)
    assert score.per_publisher[0][1].min_score == Decimal("0.1")
    assert euro["feed_offline"].max_slots == 7
    yen = checks_of(probe, feed("FX.USD/JPY", "FX"), **options)
    assert yen["publisher_offline"].max_slots == 40


NO_LIMIT_OF_A_FEED = {
    "by_asset_class", "by_publisher", "by_symbol", "endpoints", "feeds", "genesis_hash", "listing_every", "mapping",
    "max_latency", "min_sources", "network", "program", "publishers", "reference_exchanges", "timeout",
}  # fmt: skip
"""What is read, of whom, how often, and how the reference is made: the same for all feeds of a run."""
NO_LIMIT_OF_A_PUBLISHER = NO_LIMIT_OF_A_FEED | {"feed_offline_slots", "feed_abandoned_slots", "min_margin", "score_window"}


def test_every_limit_can_be_set_for_every_scope() -> None:
    """Both ways: no limit without its scopes, and no limit of a scope alone."""
    for name, kind, common in (
        ("pythnet_feeds", "Limits", NO_LIMIT_OF_A_FEED),
        ("pythnet_publishers", "Limits", NO_LIMIT_OF_A_FEED),
        ("pythnet_publishers", "PublisherLimits", NO_LIMIT_OF_A_PUBLISHER),
    ):
        probe = load(name)
        known = {field.name for field in msgspec.structs.fields(probe.options)}
        fields = msgspec.structs.fields(getattr(module_of(probe), kind))
        assert {field.name for field in fields} == known - common, (name, kind)
        assert all(field.default is None for field in fields)


WRONG = """\
probe: pythnet_publishers
options:
  endpoints: [http://node.test]
  publishers: {Alice: %s}
  offline_slots: 50
  abandoned_slots: 50
  by_asset_class:
    FX: {stall: 1m}
    equity: {abandoned_slots: 400}
  by_symbol:
    Equity.US.X/USD: {offline_slots: 400}
    Crypto.BTC/USD: {noise: 1bps, max_conf: 0bps}
  by_publisher:
    Alice: {offline_slots: 9000}
    Bob: {stall: 1m}
"""


def test_wrong_combinations_are_all_told_at_once_with_the_layers_that_make_them(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG % ALICE)
    with pytest.raises(ConfigError) as caught:
        read_manifest(load("pythnet_publishers"), path)
    text = str(caught.value)
    for said in (
        "abandoned_slots must be above max_slots, not 50 against 50",
        "by_symbol.Equity.US.X/USD: abandoned_slots must be above max_slots, not 50 against 400",
        "by_symbol.Equity.US.X/USD over by_asset_class.equity: abandoned_slots must be above max_slots, not 400 against 400",
        "by_publisher.Alice over by_asset_class.equity: abandoned_slots must be above max_slots, not 400 against 9000",
        "by_symbol.Crypto.BTC/USD: max_ratio must be above min_ratio",
        "by_asset_class.FX: classes are written in lower case, fx",
        "by_publisher.Bob: neither a key nor one of publishers (Alice)",
    ):
        assert said in text, text


MISSPELT = """\
probe: pythnet_feeds
options:
  endpoints: [http://node.test]
  max_slot: 3
  max_conf: 2
  open_grace: 60
  by_symbol:
    Crypto.BTC/USD: {min_margn: 1, max_deviation: 5}
"""


def test_unknown_keys_and_missing_units_are_told_in_one_pass_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "misspelt.yaml"
    path.write_text(MISSPELT)
    with pytest.raises(ConfigError) as caught:
        read_manifest(load("pythnet_feeds"), path)
    text = str(caught.value)
    for said in ("did you mean 'max_slots'", "did you mean 'min_margin'", ":5:", ":6:", ":8:"):
        assert said in text, text
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize("name", ["pythnet_feeds", "pythnet_publishers"])
def test_what_has_no_sense_is_refused(name: str) -> None:
    options = load(name).options
    with pytest.raises(ValueError, match="endpoints .*; program and mapping"):
        options(endpoints=(), program=ALICE)


def test_a_reference_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="no exchange is named bitmax; .*; min_sources"):
        load("pythnet_feeds").options(endpoints=NODE, reference_exchanges=("bitmax",), min_sources=0)


@pytest.mark.parametrize("name", ["pythnet_feeds", "pythnet_publishers"])
def test_the_manifest_of_the_catalogue_binds(name: str) -> None:
    probe = load(name)
    manifest = read_manifest(probe, CATALOGUE / f"{name}.yaml")
    assert probe.checks(manifest.options, feed("Equity.US.AAPL/USD", "Equity"))


class Layer(msgspec.Struct, frozen=True):
    low: int | None = None
    high: int | None = None


def test_layers_that_say_the_same_are_tried_once() -> None:
    """Thousands of symbols with one limit cost what one costs."""
    tried = []

    def make(limits: Any) -> None:
        tried.append(limits)
        if limits["low"] >= limits["high"]:
            raise ValueError(f"{limits['low']} against {limits['high']}")

    symbols = {f"S{number}": Layer(low=5) for number in range(5_000)}
    assert refusals({"low": 1, "high": 9}, {"by_symbol": symbols, "by_publisher": {"a": Layer(high=4)}}, [make]) == [
        "by_publisher.a over by_symbol.S0: 5 against 4"
    ]
    assert len(tried) == 4
    assert layered({"low": 1, "high": 9}, Layer(low=2), None, Layer(high=3)) == {"low": 2, "high": 3}
