"""Options of the catalogue's probes that cannot be meant are told when they are read, not at the first tick."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import probekit as pk
from tests.support.sandbox import load, module_of

ADDRESS = "0x" + "ab" * 20
FEED = "e6" * 32


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ([("pro", 1, ("0xnothex",))], "non-hexadecimal"),
        ([("pro", 1, ("0xabcd",))], "20 bytes"),
        ([("core", 1, ())], "1 to 255 signers"),
        ([("pro", 1, (ADDRESS, ADDRESS))], "a signer twice"),
        ([("pro", 1, (ADDRESS,)), ("pro", 1, (ADDRESS,))], "share a root and an index"),
    ],
)
def test_signer_sets_that_are_none(sets: list[tuple[str, int, tuple[str, ...]]], words: str) -> None:
    probe = load("hermes_proof")
    option = module_of(probe).SignerSetOption
    with pytest.raises(ValueError, match=words):
        probe.options(
            feeds=("Crypto.BTC/USD",),
            signer_sets=tuple(option(root=root, index=index, signers=signers) for root, index, signers in sets),
        )


THRESHOLDS = {
    "hermes_freshness": ("max_age", "warn_age", "max_conf", "max_silence"),
    "hermes_proof": ("max_latency",),
    "hermes_agreement": ("max_delay", "max_silence"),
    "hermes_latency": ("rest_budget", "stream_budget", "timeout", "samples", "percentile"),
}
REQUIRED: dict[str, dict[str, Any]] = {"hermes_agreement": {"endpoints": ("http://a", "http://b")}}


@pytest.mark.parametrize(("name", "option"), [(name, option) for name, options in THRESHOLDS.items() for option in options])
def test_a_threshold_of_zero_is_told_by_its_name_when_it_is_read(name: str, option: str) -> None:
    """Not as a traceback and a run without a verdict, at the first tick and every one after."""
    probe = load(name)
    zero = {"max_conf": pk.Bps.parse("0%"), "samples": 0, "percentile": 0}.get(option, timedelta(0))
    with pytest.raises(ValueError, match=option):
        probe.options(feeds=(FEED,), **REQUIRED.get(name, {}), **{option: zero})


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_probe_of_no_feed_asks_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="feeds must not be empty"):
        load(name).options(feeds=(), **REQUIRED.get(name, {}))


def test_limits_that_contradict_each_other() -> None:
    options = load("hermes_freshness").options
    with pytest.raises(ValueError, match="warn_age must be below max_age"):
        options(feeds=(FEED,), max_age=timedelta(seconds=5), warn_age=timedelta(seconds=5))
    with pytest.raises(ValueError, match="max_age_by_asset_class: fx must be positive"):
        options(feeds=(FEED,), max_age_by_asset_class={"fx": timedelta(0)})
    with pytest.raises(ValueError, match="percentile must lie between 1 and 100"):
        load("hermes_latency").options(feeds=(pk.FeedId(FEED),), percentile=101)


def test_options_of_ones_own_use_the_same_words() -> None:
    class Own(pk.Options, frozen=True, kw_only=True):
        names: tuple[str, ...] = ("a",)
        size: int = 1
        ratio: pk.Bps | None = None

        def __post_init__(self) -> None:
            self.require("names", "size", "ratio")

    assert Own().size == 1
    for wrong, words in (({"names": ()}, "names must not be empty"), ({"size": -1}, "size must be positive, not -1")):
        with pytest.raises(ValueError, match=words):
            Own(**wrong)
    with pytest.raises(ValueError, match="ratio must be positive, not 0bps"):
        Own(ratio=pk.Bps.parse("0bps"))


def test_an_endpoint_agrees_with_itself_always() -> None:
    with pytest.raises(ValueError, match="at least two different endpoints"):
        load("hermes_agreement").options(endpoints=("http://a", "http://a"), feeds=("Crypto.BTC/USD",))
