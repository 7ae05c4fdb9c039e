"""The demo's board: the present status of every probe and target, and what changed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from probekit.model import ProbeRun, Status, TargetResult, Verdict
from probekit.runner import ProbeInfo

Key = tuple[str, str]
"""(unit, target id)"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A target's status, its worst verdict, and when it got there (monotonic seconds)."""

    name: str
    status: Status
    verdict: Verdict
    since_s: float


@dataclass(slots=True)
class Board:
    """A recorder that keeps the newest result of every target; ``on_change`` hears of every turn of a status or reason."""

    on_change: Callable[[Key, Seen], None] = lambda key, seen: None
    now: dict[Key, Seen] = field(default_factory=dict)
    runs: int = 0

    def start(self, info: ProbeInfo) -> None:
        return None

    def record(self, run: ProbeRun) -> None:
        self.runs += 1
        for result in run.results:
            key = (run.vantage.unit, result.target.id)
            verdict = _worst(result)
            before = self.now.get(key)
            if before is not None and (before.status, before.verdict.reason) == (result.status, verdict.reason):
                self.now[key] = Seen(before.name, result.status, verdict, before.since_s)
                continue
            seen = Seen(result.target.name, result.status, verdict, time.monotonic())
            self.now[key] = seen
            self.on_change(key, seen)

    async def aclose(self) -> None:
        return None


def _worst(result: TargetResult) -> Verdict:
    return max(result.verdicts, key=lambda verdict: verdict.status.severity)


_COLOURS = {
    Status.OK: "green",
    Status.WARNING: "yellow",
    Status.CRITICAL: "bold red",
    Status.UNKNOWN: "magenta",
    Status.SKIPPED: "dim",
}


class Display:
    """The board as a live table on a terminal; elsewhere lines of what happens."""

    def __init__(self, board: Board, title: str, out: IO[str] | None = None) -> None:
        self._board = board
        self._title = title
        self._out = out or sys.stdout
        self._live: Any = None
        self._notes: list[str] = []

    def __enter__(self) -> Display:
        if self._out.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(get_renderable=self._render, console=Console(file=self._out), refresh_per_second=4)
            self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.__exit__(*error)

    def note(self, line: str) -> None:
        """Say what happens."""
        self._notes.append(line)
        if self._live is None:
            print(line, file=self._out, flush=True)

    def _render(self) -> Any:
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=escape(self._title), title_justify="left", expand=True)
        for column in ("probe", "target", "status"):
            table.add_column(column, no_wrap=True)
        table.add_column("what", ratio=1, no_wrap=True)
        for (unit, _), seen in sorted(self._board.now.items()):
            colour = _COLOURS[seen.status]
            what = escape(f"{seen.verdict.reason}: {seen.verdict.message}")
            table.add_row(unit, escape(seen.name), f"[{colour}]{seen.status.upper()}[/]", what)
        return Group(table, *(escape(line) for line in self._notes[-6:]))
