"""Probes against the sandbox on a clock that the test turns: no socket, no waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import ModuleType
from typing import Any

from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.transport import SandboxTransport
from probekit.manifest import find_probe, load_probe
from probekit.manifest.discovery import search_path
from probekit.model import ProbeRun, Status, TargetResult, TrustRoot
from probekit.probe import Probe
from probekit.runner import Recorder, RunSettings, run_once, watch
from probekit.testing import FakeClock

S = timedelta(seconds=1)
FIRST, SECOND = "http://first", "http://second"


def load(name: str) -> Probe[Any]:
    """A probe of the catalogue."""
    return load_probe(find_probe(name, search_path()))


def module_of(probe: Probe[Any]) -> ModuleType:
    """The file a probe was loaded from, as a module."""
    import sys

    return sys.modules[probe.observe.__module__]


@dataclass
class Lab:
    """Two endpoints of one sandbox network, in process, on one fake clock."""

    root: TrustRoot = TrustRoot.PRO
    feeds: int = 6
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.network = SandboxNetwork(root=self.root, feeds=self.feeds, clock=self.clock)
        self.first, self.second = Sandbox(self.network), Sandbox(self.network)
        self.transport = SandboxTransport({FIRST: self.first, SECOND: self.second}, clock=self.clock)
        self.ids = tuple(str(market.feed.id) for market in self.network.markets)
        self.runs: list[ProbeRun] = []

    def signer_sets(self, probe: Probe[Any]) -> tuple[Any, ...]:
        """The network's sets as options of hermes_proof."""
        option = module_of(probe).SignerSetOption
        return tuple(
            option(root=str(one.root), index=one.index, signers=tuple(key.hex() for key in one.signers))
            for one in self.network.trust.sets
        )

    async def once(self, probe: Probe[Any], *, patience: timedelta = 30 * S, **options: Any) -> ProbeRun:
        """Run a probe once, turning the clock until it is done."""
        task = asyncio.ensure_future(
            run_once(probe, probe.options(**options), clock=self.clock, engines=lambda _: self.transport)
        )
        spent = timedelta()
        while not task.done() and spent < patience:
            await self.clock.advance(S / 4)
            spent += S / 4
        assert task.done(), "the run took longer than its deadline"
        return task.result()

    @asynccontextmanager
    async def watching(
        self,
        probe: Probe[Any],
        *,
        recorders: tuple[Recorder, ...] = (),
        settings: RunSettings | None = None,
        **options: Any,
    ) -> AsyncIterator[None]:
        """A probe running on; its runs gather in :attr:`runs` while the test turns the clock."""

        async def follow() -> None:
            runs = watch(
                probe,
                probe.options(**options),
                settings=settings or RunSettings(),
                recorders=recorders,
                clock=self.clock,
                engines=lambda _: self.transport,
            )
            async for run in runs:
                self.runs.append(run)

        task = asyncio.ensure_future(follow())
        try:
            yield
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def pass_seconds(self, seconds: int) -> ProbeRun:
        """Turn the clock; the newest run afterwards."""
        for _ in range(seconds):
            await self.clock.advance(S)
        return self.runs[-1]


def result(run: ProbeRun, target: str) -> TargetResult:
    """A target's result."""
    return next(one for one in run.results if one.target.id == target)


def verdict(run: ProbeRun, target: str) -> tuple[Status, str]:
    """Status and reason of a target's worst verdict."""
    found = max(result(run, target).verdicts, key=lambda one: one.status.severity)
    return found.status, found.reason


def others_ok(run: ProbeRun, *broken: str) -> bool:
    """Whether every target but those is OK."""
    return all(one.status is Status.OK for one in run.results if one.target.id not in broken)
