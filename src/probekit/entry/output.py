"""Runs for people and for CI: a table, a line of JSON, a JUnit report."""

from __future__ import annotations

import re
import sys
from typing import IO, Any, Final, cast
from xml.sax.saxutils import escape, quoteattr

from probekit.entry.streams import emit, emit_bytes
from probekit.manifest.problems import one_line
from probekit.model import ProbeRun, Status, TargetResult, Verdict
from probekit.runner import summary
from probekit.runner.encode import encode_run
from probekit.units import NS_PER_S, format_ns

_COLOURS = {
    Status.OK: "green",
    Status.WARNING: "yellow",
    Status.CRITICAL: "bold red",
    Status.UNKNOWN: "magenta",
    Status.SKIPPED: "dim",
}


_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Printer:
    """Shows runs on a terminal with rich where it is installed, as plain text where not, or as JSON lines."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False, out: IO[str] | None = None) -> None:
        self._out = sys.stdout if out is None else out
        self._json = as_json
        self._quiet = quiet
        plain = as_json or quiet or self._out is None or not self._out.isatty()
        self._page = _Page(self._out)
        self._console = None if plain else _console(self._page)

    def show(self, run: ProbeRun) -> None:
        """Print one run. Raises ``ConfigError`` when it cannot be written."""
        if self._quiet:
            return
        if self._json:
            emit_bytes(encode_run(run) + b"\n", self._out)
        elif self._console is not None:
            self._console.print(rich_table(run))
            emit(self._page.taken(), self._out)
        else:
            emit(plain_table(run), self._out)


class _Page:
    """What rich draws for ``out``, kept back: writing by itself, it would end the program with a code of its own when the
    reader has gone.
    """

    def __init__(self, out: IO[str] | None) -> None:
        self.encoding = getattr(out, "encoding", None) or "utf-8"
        self._parts: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits here."""

    def taken(self) -> str:
        """Everything drawn since the last time."""
        text = "".join(self._parts)
        self._parts.clear()
        return text


def _console(page: _Page) -> Any:
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        return None
    return Console(file=cast(IO[str], page))


def headline(run: ProbeRun) -> str:
    """``hermes_freshness: CRITICAL - 2 ok, 1 critical (eu, aws, eu-1/hermes_freshness, 41.0ms, 2026-..)``."""
    counts = ", ".join(f"{count} {status}" for status, count in summary(run).items() if count) or "no verdict"
    vantage = run.vantage
    where = [vantage.region, vantage.provider or "", vantage.instance_id]
    told = [one_line(one) for one in where if one] + [format_ns(run.elapsed_ns), str(run.started_at)]
    return f"{run.probe}: {run.status.upper()} - {counts} ({', '.join(told)})"


def rows(run: ProbeRun) -> list[tuple[Status, str, str, str]]:
    """(status, target, check, message), one per target: its worst verdict; the worst first."""
    made = []
    for result in run.results:
        verdict = _worst(result)
        # Names and messages quote what a service said: nothing of it is for the terminal to obey.
        made.append(
            (result.status, one_line(result.target.name), verdict.check, one_line(f"{verdict.reason}: {verdict.message}"))
        )
    return sorted(made, key=lambda row: -row[0].severity)


def _worst(result: TargetResult) -> Verdict:
    return max(result.verdicts, key=lambda verdict: verdict.status.severity)


def plain_table(run: ProbeRun) -> str:
    """Text without colour, aligned."""
    lines = rows(run)
    width = max((len(target) for _, target, _, _ in lines), default=0)
    text = [headline(run), *(f"  {status.upper():8} {target:{width}} {message}" for status, target, _, message in lines)]
    return "\n".join(text) + "\n"


def rich_table(run: ProbeRun) -> Any:
    """A rich table of a run."""
    from rich.markup import escape as plain
    from rich.table import Table

    table = Table(title=plain(headline(run)), title_justify="left", expand=True, title_style=_COLOURS[run.status])
    table.add_column("status", no_wrap=True)
    table.add_column("target", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("what", ratio=1)
    for status, target, check, message in rows(run):
        colour = _COLOURS[status]
        table.add_row(f"[{colour}]{status.upper()}[/]", plain(target), check, plain(message))
    return table


def junit(run: ProbeRun) -> str:
    """A JUnit report: one test case per target and check.

    WARNING passes with a message, UNKNOWN is an ``<error>``, CRITICAL a ``<failure>``, SKIPPED is ``<skipped>``. From where it
    was seen stands in the suite's properties, by the names that telemetry has for it.
    """
    cases = [(result, verdict) for result in run.results for verdict in result.verdicts]
    counts = {status: sum(1 for _, verdict in cases if verdict.status is status) for status in Status}
    seconds = f"{run.elapsed_ns / NS_PER_S:.6f}"
    head = (
        f'<testsuite name={quoteattr(run.probe)} tests="{len(cases)}" failures="{counts[Status.CRITICAL]}" '
        f'errors="{counts[Status.UNKNOWN]}" skipped="{counts[Status.SKIPPED]}" time="{seconds}" '
        f"timestamp={quoteattr(str(run.started_at))} hostname={quoteattr(_xml_text(run.vantage.host))}>"
    )
    seen_from = {
        "cloud.region": run.vantage.region,
        "cloud.provider": run.vantage.provider,
        "service.instance.id": run.vantage.instance_id,
    }
    properties = "".join(
        f"<property name={quoteattr(name)} value={quoteattr(_xml_text(value))}/>" for name, value in seen_from.items() if value
    )
    body = "".join(_case(run, result, verdict) for result, verdict in cases)
    suite = f"{head}\n  <properties>{properties}</properties>\n{body}</testsuite>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n{suite}\n</testsuites>\n'


def _case(run: ProbeRun, result: TargetResult, verdict: Verdict) -> str:
    name = f"{result.target.name} {verdict.check}"
    message = quoteattr(_xml_text(f"{verdict.reason}: {verdict.message}"))
    kind = quoteattr(verdict.error_type or verdict.reason)
    evidence = "" if result.evidence is None else _xml_text(result.evidence.arithmetic or result.evidence.error)
    inner = {
        Status.OK: "",
        Status.WARNING: f"<system-out>WARNING {escape(_xml_text(f'{verdict.reason}: {verdict.message}'))}</system-out>",
        Status.CRITICAL: f"<failure message={message} type={kind}>{escape(evidence)}</failure>",
        Status.UNKNOWN: f"<error message={message} type={kind}>{escape(evidence)}</error>",
        Status.SKIPPED: f"<skipped message={message}/>",
    }[verdict.status]
    case = f"<testcase classname={quoteattr(run.probe)} name={quoteattr(_xml_text(name))}"
    return f"  {case}>{inner}</testcase>\n" if inner else f"  {case}/>\n"


def _xml_text(text: str) -> str:
    """Without what XML 1.0 cannot carry: control characters, surrogates, U+FFFE and U+FFFF."""
    return _NOT_XML.sub("?", text)
