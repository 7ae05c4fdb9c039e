"""Server-sent events: the standard's examples, any splitting, any mutation, bounded."""

from __future__ import annotations

import itertools
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.sse import COMMENT, SseEvent, SseSplitter, encode
from probekit.errors import DecodeError


def split(data: bytes, *cuts: int) -> list[SseEvent]:
    splitter = SseSplitter()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    events: list[SseEvent] = []
    for start, end in itertools.pairwise(edges):
        events += splitter.feed(data[start:end])
    return events


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"data:one\n\n", [SseEvent(b"one")]),
        (b"data: one\n\ndata:  two\n\n", [SseEvent(b"one"), SseEvent(b" two")]),
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [SseEvent(b"YHOO\n+2\n10")]),
        (b": test stream\n\ndata: first event\nid: 1\n\n", [SseEvent(b"first event", id="1")]),
        (b"data\n\ndata\ndata\n\ndata:", [SseEvent(b""), SseEvent(b"\n")]),
        (b"event:error\ndata:gone\n\n", [SseEvent(b"gone", "error")]),
        (b"event:\ndata:x\n\n", [SseEvent(b"x")]),
        (b"retry:1500\ndata:x\n\n", [SseEvent(b"x", retry_ms=1500)]),
        (b"retry:soon\nid:a\0b\nunknown:z\ndata:x\n\n", [SseEvent(b"x")]),
        (b"data:crlf\r\n\r\ndata:cr\r\rdata:lf\n\n", [SseEvent(b"crlf"), SseEvent(b"cr"), SseEvent(b"lf")]),
        (b"\xef\xbb\xbfdata:bom\n\n", [SseEvent(b"bom")]),
        (b"\n\n\ndata:x\n\n\n\n", [SseEvent(b"x")]),
        (b"event:only a name\n\n", []),
        (b"data:unfinished\n", []),
        (b"", []),
    ],
)
def test_the_standard(data: bytes, expected: list[SseEvent]) -> None:
    assert split(data) == expected
    assert split(data, *range(len(data))) == expected


FIELDS = st.sampled_from([b"data:", b"data", b"event:x", b"id:7", b":c", b"\n", b"\r\n", b"\r", b" a", b"z", b"\n\n"])


def reference(data: bytes) -> list[bytes]:
    """The standard read literally, over the whole text."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    lines = re.split(rb"\r\n|\n|\r", data)
    events: list[bytes] = []
    current: list[bytes] = []
    for line in lines[:-1]:
        if line == b"":
            if current:
                events.append(b"\n".join(current))
            current = []
        elif line == b"data" or line.startswith(b"data:"):
            current.append(line[5:].removeprefix(b" "))
    return events


@given(st.lists(FIELDS, max_size=40).map(b"".join), st.lists(st.integers(0, 120), max_size=12))
def test_any_splitting_says_what_the_whole_says(data: bytes, cuts: list[int]) -> None:
    assert [event.data for event in split(data, *cuts)] == reference(data) or data.endswith(b"\r")


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_no_bytes_do_anything_but_split(data: bytes, cuts: list[int]) -> None:
    assert isinstance(split(data, *cuts), list)


@given(st.binary(max_size=100).filter(lambda data: b"\r" not in data), st.sampled_from([None, "error"]))
def test_what_is_encoded_comes_back(data: bytes, name: str | None) -> None:
    (event,) = split(encode(data, event=name))
    # The standard drops one space after the colon; Hermes writes none.
    lines = [line.removeprefix(b" ") for line in data.split(b"\n")]
    assert event.data == b"\n".join(lines)
    assert event.event == (name or "message")


def test_keep_alives_are_counted() -> None:
    splitter = SseSplitter()
    assert splitter.feed(COMMENT * 3) == []
    assert splitter.comments == 3


def test_an_event_is_bounded() -> None:
    splitter = SseSplitter(max_event_bytes=100)
    assert splitter.feed(b"data:" + b"x" * 50) == []
    with pytest.raises(DecodeError, match="100 bytes"):
        splitter.feed(b"x" * 100)
    assert len(SseSplitter(max_event_bytes=100).feed(b"data:x\n\n" * 1000)) == 1000


@pytest.mark.no_cover  # others cover its lines, and to count them again takes longer than the test
def test_a_server_that_drips_costs_what_it_sends() -> None:
    """An object for each of its bytes would be forty times as much."""
    splitter = SseSplitter()
    splitter.feed(b"data:")
    tracemalloc.start()
    try:
        for _ in range(200_000):
            splitter.feed(b"x")
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1_000_000
    (event,) = splitter.feed(b"\n\n")
    assert event.data == b"x" * 200_000
