"""The process that searches: what it finds, what it is ended for, and that nothing is left of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from probekit.model.pattern import PatternSlow, Searched, checksum
from probekit.transports.matching import PATIENCE_S, Matcher

SLOW = ("(a+)+$", "a" * 30 + "!")


async def test_it_finds_what_the_engine_finds() -> None:
    async with Matcher() as matcher:
        for pattern, text, found in (
            ("b+", "abbc", "bb"),
            ("x", "abc", None),
            ("ä+$", "\udcffxää", "ää"),
            ("", "", ""),
            ("(?s).+", "y" * 5_000, "y" * 1_024),
        ):
            assert await matcher.search(pattern, text) == Searched(pattern, checksum(text), found)
        assert await matcher.span(b"\xff+", b"a\xff\xff") == (1, 3)
        assert await matcher.span(rb"\w", "ä".encode()) is None, "of bytes, letters are those of ASCII"
        assert await matcher.span("x", "a") is None


async def test_what_takes_too_long_is_ended_and_the_next_is_not_affected() -> None:
    async with Matcher() as matcher:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.ensure_future(tick())
        began = time.monotonic()
        assert await matcher.search(*SLOW) == Searched(SLOW[0], checksum(SLOW[1]), slow=True)
        assert time.monotonic() - began < PATIENCE_S + 1
        ticking.cancel()
        assert ticks > 5, "everything else went on"
        assert (await matcher.search("a+", "xaa")).found == "aa"


async def test_a_search_that_waits_too_long_for_those_before_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Matcher() as matcher:
        await matcher.search("a", "a")
        monkeypatch.setattr("probekit.transports.matching.PATIENCE_S", 0.02)
        async with matcher._turn:
            assert (await matcher.search("a+", "aa")).slow
        monkeypatch.undo()
        assert (await matcher.search("a+", "aa")).found == "aa"


async def test_one_that_is_cancelled_does_not_answer_the_next() -> None:
    async with Matcher() as matcher:
        await matcher.search("a", "a")
        waiting = asyncio.ensure_future(matcher.search(*SLOW))
        while not matcher._turn.locked():
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await matcher.span("b", "aab") == (2, 3)


async def test_nothing_is_left_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    real = subprocess.Popen

    def start(*args: Any, **more: Any) -> Any:
        made.append(real(*args, **more))
        return made[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    before = len(os.listdir("/proc/self/fd"))
    async with Matcher() as matcher:
        assert made == [], "it is started when it is needed"
        await matcher.search("a", "a")
        await matcher.search("b", "b")
        await matcher.search(*SLOW)
        await matcher.search("c", "c")
    assert len(made) == 2
    assert all(one.returncode is not None for one in made)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_where_no_process_is_to_be_had_it_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with Matcher() as matcher:
        assert (await matcher.search("a", "a")).slow
        with pytest.raises(PatternSlow):
            await matcher.span("a", "a")
