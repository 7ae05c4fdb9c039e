"""Runs as lines of JSON."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import msgspec
import pytest

from probekit.errors import ConfigError
from probekit.runner.encode import decode_run
from probekit.secret import Secret
from probekit.telemetry.delivery import Counters
from probekit.telemetry.jsonl import JsonLinesRecorder
from tests.unit.telemetry import builders as make


def test_each_run_is_a_line_that_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    runs = [make.run(requests=(make.request(),)), make.bad_run()]
    recorder = JsonLinesRecorder(path)
    recorder.start(make.info())
    for run in runs:
        recorder.record(run)
        # Written whole at once: a reader never waits for a flush.
        assert path.read_bytes().endswith(b"}\n")
    asyncio.run(recorder.aclose())
    assert [decode_run(line) for line in path.read_bytes().splitlines()] == runs


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    for _ in range(2):
        recorder = JsonLinesRecorder(path)
        recorder.record(make.run())
        asyncio.run(recorder.aclose())
    assert len(path.read_bytes().splitlines()) == 2


def test_what_became_of_the_telemetry_is_the_last_line() -> None:
    stream = io.BytesIO()
    counters = {"traces": Counters(handed=5, exported=2, rejected=1, dropped=2, retried=3, reasons={"queue_full": 2})}
    recorder = JsonLinesRecorder(stream, telemetry=lambda: counters)
    recorder.record(make.run())
    asyncio.run(recorder.aclose())
    asyncio.run(recorder.aclose())
    assert msgspec.json.decode(stream.getvalue().splitlines()[-1]) == {
        "telemetry": {
            "traces": {
                "handed": 5,
                "exported": 2,
                "rejected": 1,
                "dropped": 2,
                "retried": 3,
                "reasons": {"queue_full": 2},
            }
        }
    }
    assert not stream.closed


def test_a_secret_that_came_this_far_is_removed_and_numbers_stay_whole() -> None:
    # Digits only, and equal to digits of a number in the line.
    canary = Secret("12000000000")
    stream = io.BytesIO()
    recorder = JsonLinesRecorder(stream)
    run = make.bad_run(source_digest=f"x {canary.reveal()} y")
    recorder.record(run)
    asyncio.run(recorder.aclose())
    read = decode_run(stream.getvalue())
    assert read.source_digest == "x [redacted] y"
    assert read.results[1].verdicts[0].value == 12_000_000_000


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"):
        JsonLinesRecorder(tmp_path)
