"""Explaining a probe: targets, limits with their units, and what every reason means, without a single request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import probekit as pk
from probekit.cli.main import main as cli
from probekit.entry.explain import explain, plan
from probekit.entry.runbook import find_runbook, read_runbook, shown_runbook
from probekit.manifest import Found, list_probes, load_probe, read_manifest
from probekit.manifest.discovery import catalogue
from tests.docs.reasons import DYNAMIC, reasons_in
from tests.docs.reference import check_classes, source_of

FOUND = [pytest.param(one, id=one.name) for one in list_probes((catalogue(),))]


def told(found: Found) -> str:
    probe = load_probe(found)
    return explain(probe, read_manifest(probe, found.manifest), found.path)


@pytest.mark.parametrize("found", FOUND)
def test_every_probe_tells_targets_units_checks_and_every_reason(found: Found) -> None:
    text = told(found)
    probe = load_probe(found)
    planned = plan(probe, read_manifest(probe, found.manifest).options)
    assert planned.targets
    for target in planned.targets[:20]:
        assert f"\n  {target.id}  {target.kind}" in text
    for measure in probe.metrics:
        assert f"\n  {measure} [" in text
    by_name = {kind.name: kind for kind in check_classes()}
    for use in planned.checks:
        assert f"\n  {use.name}: {use.question}" in text
        assert use.question.endswith("?")
        for limit, value in use.limits:
            assert f"{limit} {value}" in text
        for status, reason in reasons_in(source_of(by_name[use.name])):
            if status != "OK" and DYNAMIC not in (status, reason) and reason not in ("pending", "widening_confidence"):
                assert f"\n      {reason} " in text, f"{use.name} {reason}"


def test_limits_are_those_of_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["explain", "hermes_freshness", "--set", "max_age=7s", "--set", "feeds=[Crypto.BTC/USD]"]) == 0
    text = capsys.readouterr().out
    assert "    of Crypto.BTC/USD: max_age 7.0s, warn_age none" in text
    assert "      stale CRITICAL: publish_time is older than `max_age`" in text
    assert "  feed.age [s] Now minus publish_time" in text


def test_a_key_stays_hidden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("A_KEY", "very-secret-key")
    chain = '{base: {endpoints: ["http://base.test/{key}"], key: env:A_KEY}}'
    wallet = '[{chain: base, address: "0x5252525252525252525252525252525252525252", critical: 1 ETH}]'
    assert cli(["explain", "wallet_balance", "--set", f"chains={chain}", "--set", f"wallets={wallet}"]) == 0
    text = capsys.readouterr().out
    assert "Secret([redacted] from environment A_KEY)" in text
    assert "very-secret-key" not in text


async def _observe(ctx: pk.Context[Any], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any]]:
    assert not watched, "explaining observes nothing"
    for target in watched:
        yield pk.Observation(None, "", ctx.clock.now(), target.id)


async def _asking(ctx: pk.Context[Any]) -> Sequence[pk.Target]:
    hermes = await ctx.hold("hermes", lambda: pk.HermesClient(transport=ctx.engine(), clock=ctx.clock))
    return [pk.Target(str(feed.id), "feed") for feed in await hermes.feeds()]


async def _many(ctx: pk.Context[Any]) -> Sequence[pk.Target]:
    return [pk.Target(f"t{number}", "service") for number in range(25)]


def a_probe(targets: Any) -> pk.Probe[Any]:
    return pk.Probe.poll(
        name="asking",
        question="Is it?",
        options=pk.Options,
        targets=targets,
        observe=_observe,
        checks=lambda options, target: [],
    )


def test_targets_that_must_be_asked_for_are_told_as_such(tmp_path: Path) -> None:
    probe = a_probe(_asking)
    text = explain(probe, read_manifest(probe, None), tmp_path / "asking.py")
    assert "  known once it runs (explaining asks nothing of the network)" in text


def test_many_targets_are_counted(tmp_path: Path) -> None:
    probe = a_probe(_many)
    text = explain(probe, read_manifest(probe, None), tmp_path / "asking.py")
    assert "  t19  service\n  and 5 more\n" in text


def test_a_runbook_beside_the_probe_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    assert find_runbook(tmp_path / "mine.py") is None
    assert read_runbook(None) == ()
    page = tmp_path / "runbooks" / "mine.md"
    page.parent.mkdir()
    page.write_text(
        "# x\n\n### slow\n\n**CRITICAL** or **WARNING**, checks `a` and `b`. Too\nslow, see [this](that.md).\n\n- Confirm: x\n"
    )
    assert find_runbook(tmp_path / "mine.py") == page
    # As it can be opened: from a checkout's root, else where it is (the wheel).
    assert shown_runbook(page) == str(page)
    assert shown_runbook(tmp_path / "docs" / "runbooks" / "mine.md") == "docs/runbooks/mine.md"
    assert shown_runbook(None) == "none"
    (meaning,) = read_runbook(page)
    assert (meaning.reason, meaning.statuses, meaning.checks) == ("slow", ("CRITICAL", "WARNING"), ("a", "b"))
    assert meaning.text == "Too slow, see this."
    page.write_bytes(b"\xff")
    assert read_runbook(page) == ()
