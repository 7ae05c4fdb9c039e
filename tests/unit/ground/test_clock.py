"""Work done at once: what comes of it, and that nothing is left of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from probekit.clock import as_they_come, both, first_of, together


async def value(number: int) -> int:
    return number


async def defect() -> int:
    raise RuntimeError("a defect")


async def never(ended: list[str]) -> int:
    nothing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    try:
        return await nothing
    finally:
        await asyncio.sleep(0)
        ended.append("ended")


def alone() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


async def test_all_together_in_order() -> None:
    assert await together(value(number) for number in range(5)) == [0, 1, 2, 3, 4]
    assert await together([]) == []
    assert alone()


async def test_the_first_error_is_raised_once_the_others_have_ended() -> None:
    ended: list[str] = []
    with pytest.raises(RuntimeError, match="a defect"):
        await together([never(ended), defect(), never(ended)])
    assert ended == ["ended", "ended"]
    assert alone()


async def test_two_of_different_kinds_end_together_too() -> None:
    async def word() -> str:
        return "seven"

    assert await both(value(7), word()) == (7, "seven")
    ended: list[str] = []
    with pytest.raises(RuntimeError, match="a defect"):
        await both(never(ended), defect())
    assert ended == ["ended"]
    assert alone()


@pytest.mark.parametrize("raises", [False, True])
async def test_the_first_to_end_is_what_counts(raises: bool) -> None:
    ended: list[str] = []
    if raises:
        with pytest.raises(RuntimeError, match="a defect"):
            await first_of(never(ended), defect())
    else:
        assert await first_of(never(ended), value(7), value(8)) == 7
    assert ended == ["ended"]
    assert alone()


@pytest.mark.parametrize("way", [lambda ended: together([never(ended)]), lambda ended: first_of(never(ended), never(ended))])
async def test_cancelled_it_leaves_nothing(way: object) -> None:
    ended: list[str] = []
    assert callable(way)
    task = asyncio.ensure_future(way(ended))
    await asyncio.sleep(0.0)
    await asyncio.sleep(0.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended
    assert alone()


async def test_as_they_come_and_left_early_it_leaves_nothing() -> None:
    gates = [asyncio.Event() for _ in range(3)]
    ended: list[int] = []

    async def one(number: int) -> int:
        try:
            await gates[number].wait()
            return number
        finally:
            ended.append(number)

    async with aclosing(as_they_come(one(number) for number in range(3))) as found:
        gates[2].set()
        assert await anext(found) == 2
        gates[0].set()
        assert await anext(found) == 0
        assert ended == [2, 0]
    assert ended == [2, 0, 1]
    assert [number async for number in as_they_come([one(2)])] == [2]


async def test_as_they_come_raises_what_one_raises_once_the_others_have_ended() -> None:
    ended = asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fails() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        _ = [one async for one in as_they_come((hangs(), fails()))]
    assert ended.is_set()
