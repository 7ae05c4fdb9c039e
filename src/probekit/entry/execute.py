"""Carrying out what the command line asked for."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from probekit._version import __version__
from probekit.entry.explain import explain
from probekit.entry.output import Printer, junit
from probekit.entry.service import check_watchdog, claim_instance, notifier
from probekit.entry.streams import emit, emit_bytes
from probekit.entry.vantage import vantage_of
from probekit.errors import ConfigError
from probekit.manifest.discovery import Found, source_digest
from probekit.manifest.options import value_text
from probekit.manifest.read import Manifest, Origin, read_manifest, refused_times
from probekit.model import ProbeRun, Status
from probekit.probe import Probe
from probekit.runner import Recorder, RunSettings, Tape, config_digest, run_once, watch
from probekit.units import parse_duration


def execute(probe: Probe[Any], path: Path, arguments: argparse.Namespace) -> int:
    """Read the configuration, run or explain, and return the exit code. Raises ``ConfigError``."""
    manifest = _manifest(probe, path, arguments)
    if arguments.explain:
        # Where a deployment says how the unit will be started: what it would refuse is told before anything is switched to it.
        check_watchdog(os.environ, interval=manifest.interval)
        emit(explain(probe, manifest, path) + "\n")
        return 0
    _check_junit(arguments.junit)
    settings = _settings(path, manifest, arguments)
    with contextlib.ExitStack() as held:
        recorders, tape = _recorders(manifest, settings, arguments, held)
        work = _loop if arguments.loop else _once
        with _runner() as run:
            last = run(work(probe, manifest, settings, recorders, arguments, tape))
    if arguments.junit and last is not None:
        _write_junit(arguments.junit, last)
    if arguments.loop and arguments.runs is None:
        return 0
    return exit_code(last, allow_skipped=arguments.allow_skipped)


def _recorders(
    manifest: Manifest[Any], settings: RunSettings, arguments: argparse.Namespace, held: contextlib.ExitStack
) -> tuple[list[Recorder], Tape | None]:
    """Where runs go, and observations. What is to be given back when the runs are over is put on ``held``."""
    from probekit.telemetry import exports, recorder_from_env
    from probekit.transports.authorities import authorities

    # Authorities that are named and not there: told before the first run, which could only say UNKNOWN.
    authorities()

    recorders: list[Recorder] = []
    if exports(settings.vantage, os.environ, enabled=arguments.otlp):
        # Whoever exports under this id is the only one.
        held.callback(claim_instance(settings.vantage.instance_id).release)
    service = notifier(os.environ, interval=manifest.interval) if arguments.loop else None
    if service is not None:
        # Also where what follows refuses to start; closing it twice is nothing.
        held.callback(service.close)
    telemetry = recorder_from_env(settings.vantage, os.environ, enabled=arguments.otlp)
    if telemetry is not None:
        recorders.append(telemetry)
    if arguments.record:
        from probekit.telemetry.jsonl import JsonLinesRecorder

        # After telemetry: what became of the exports is known once those are closed.
        counters = None if telemetry is None else (lambda: telemetry.counters)
        recorders.append(JsonLinesRecorder(arguments.record, telemetry=counters))
    if service is not None:
        # Last of all: a run that the others failed to record is a run all the same.
        recorders.append(service)
    tape = Tape(arguments.observations) if arguments.observations else None
    if tape is not None:
        held.callback(tape.close)
    return recorders, tape


def exit_code(run: ProbeRun | None, *, allow_skipped: bool) -> int:
    """0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; only skips, or no verdict at all: 3 unless skips are allowed."""
    if run is None or not run.results:
        return 3
    if run.status is Status.SKIPPED:
        return 0 if allow_skipped else 3
    return run.status.exit_code


def _manifest(probe: Probe[Any], path: Path, arguments: argparse.Namespace) -> Manifest[Any]:
    overrides: dict[str, str] = {}
    for item in arguments.set:
        key, separator, value = item.partition("=")
        if not separator or not key.strip():
            # Without a key all of it may be a value, and that a secret.
            raise ConfigError(f"--set {key.strip() if separator and key.strip() else '...'}: write it as KEY=VALUE")
        overrides[key] = value
    file = Found(probe.name, path, "").manifest if arguments.config is None else Path(arguments.config)
    manifest = read_manifest(probe, file, overrides)
    return manifest if arguments.interval is None else _with_interval(probe, manifest, arguments.interval)


def _with_interval(probe: Probe[Any], manifest: Manifest[Any], text: str) -> Manifest[Any]:
    """``manifest`` at another interval; a deadline above it comes down with it, options that do not fit are refused."""
    try:
        interval = parse_duration(text[:100])
    except (ValueError, ArithmeticError) as error:
        raise ConfigError(f"--interval: {error}") from None
    if interval <= timedelta(0):
        raise ConfigError("--interval: must be positive")
    origins = {**manifest.origins, "interval": Origin(value_text(interval), "--interval")}
    deadline = manifest.deadline
    if deadline is not None and deadline > interval:
        deadline = interval
        origins["deadline"] = Origin(value_text(deadline), "--interval")
    for _, words in refused_times(probe, msgspec.structs.asdict(manifest.options), interval, deadline):
        raise ConfigError(f"--interval: {words}")
    return replace(manifest, interval=interval, deadline=deadline, origins=origins)


def _settings(path: Path, manifest: Manifest[Any], arguments: argparse.Namespace) -> RunSettings:
    vantage = vantage_of(manifest.name, manifest.vantage, os.environ, region=arguments.region)
    return RunSettings(
        vantage=vantage,
        interval=manifest.interval,
        deadline=manifest.deadline,
        connectivity=manifest.connectivity,
        probe_version=__version__,
        source_digest=source_digest(path),
        config_digest=config_digest(manifest.options),
    )


async def _once(
    probe: Probe[Any],
    manifest: Manifest[Any],
    settings: RunSettings,
    recorders: list[Recorder],
    arguments: argparse.Namespace,
    tape: Tape | None,
) -> ProbeRun:
    run = await run_once(probe, manifest.options, settings=settings, recorders=recorders, tape=tape)
    Printer(as_json=arguments.json, quiet=arguments.junit == "-").show(run)
    return run


async def _loop(
    probe: Probe[Any],
    manifest: Manifest[Any],
    settings: RunSettings,
    recorders: list[Recorder],
    arguments: argparse.Namespace,
    tape: Tape | None,
) -> ProbeRun | None:
    """Run until SIGTERM, or for ``--runs`` runs; everything is flushed when this returns."""
    printer = Printer(as_json=arguments.json, quiet=arguments.junit == "-")
    last: ProbeRun | None = None
    count = 0

    async def consume() -> None:
        nonlocal last, count
        runs = watch(probe, manifest.options, settings=settings, recorders=recorders, tape=tape)
        async with aclosing(runs):
            async for run in runs:
                last = run
                printer.show(run)
                count += 1
                if arguments.runs is not None and count >= arguments.runs:
                    return

    task = asyncio.ensure_future(consume())
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        await task
    except asyncio.CancelledError:
        # SIGINT cancels from outside, and must reach the runner to become 130.
        if not stopped:
            raise
    return last


def _check_junit(where: str | None) -> None:
    """Before the run: a report that cannot be written is not worth one."""
    if where is None or where == "-":
        return
    path = Path(where)
    if path.is_dir():
        raise ConfigError(f"--junit {where}: Is a directory")
    if not path.parent.is_dir():
        raise ConfigError(f"--junit {where}: there is no folder {path.parent}")


def _write_junit(where: str, run: ProbeRun) -> None:
    report = junit(run).encode("utf-8", "backslashreplace")
    if where == "-":
        emit_bytes(report)
        return
    try:
        Path(where).write_bytes(report)
    except OSError as error:
        raise ConfigError(f"--junit {where}: {error.strerror}") from None


@contextlib.contextmanager
def _runner() -> Any:
    """asyncio's runner on uvloop where that is installed."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ModuleNotFoundError:
        pass
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner.run
