"""Which searches may take long: a bound that holds, and that lets through what everybody writes."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.model.pattern import PatternSlow, Searched, checksum, compiled, may_be_slow, search

LARGE = 1 << 20
PARTS = ("a", "b", "ab", ".", "[ab]", "[^b]", r"\w", "a*", "a+", ".*", ".+?", "[ab]*", "a?", "a{1,3}", "(a|ab)", "(ab)?",
         "(a+)", "(?:a|b)", "(?=a*)", "(?i:A*)", "|", "$", "^", r"\b", "(a*)+", "(a|a)*", "(.*)?", "a*+", "(?>a*)")  # fmt: skip


@pytest.mark.parametrize(
    "pattern",
    ['"result":"0x1"', '{"status": "ok"}', "ok|fine", r"^HTTP/1\.1 200", "[*+?]", r"a\*b\+c\?", "(ok)", "(?P<word>ok)", "x{y}"],
)
def test_what_repeats_nothing_is_searched_in_any_text(pattern: str) -> None:
    assert not may_be_slow(pattern, LARGE // 4)
    assert not may_be_slow(pattern.encode(), LARGE // 4)


@pytest.mark.parametrize("pattern", [r"^\d+ ok$", r'"height":\s*\d+', "a.*b", "(ok)?", "x{2,5}", "a*?b", "[0-9]{3}"])
def test_what_repeats_letters_is_searched_in_a_short_text(pattern: str) -> None:
    assert not may_be_slow(pattern, 90)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "(a|a)*b", "(?:a){2,}", r"(a)\1", "(?P<x>a)(?P=x)", "(?x) (a+ ) +", "(?ix)a", "(?x:a )", "(a)(?#b)+", "a?" * 30,
     ".*.*.*.*", "(a{0,9}){9}"],
)  # fmt: skip
def test_what_has_no_bound_may_be_slow_in_any(pattern: str) -> None:
    assert may_be_slow(pattern, 60)
    assert may_be_slow(pattern.encode(), 60)
    assert may_be_slow(pattern)


def test_what_repeats_letters_may_be_slow_in_a_long_text() -> None:
    for pattern in (r"\s+$", "a*b", "x{1,9}y"):
        assert may_be_slow(pattern)
        assert may_be_slow(pattern, 5_000)


@given(st.lists(st.sampled_from(PARTS), max_size=7).map("".join), st.integers(1, 300), st.sampled_from(["a", "ab", "aab"]))
def test_what_is_said_to_be_quick_is(pattern: str, size: int, letters: str) -> None:
    text = (letters * size)[:size] + "!"
    try:
        expression = re.compile(pattern + "c")
    except re.error:
        return
    if may_be_slow(pattern + "c", len(text)):
        return
    began = time.process_time()
    expression.search(text)
    assert time.process_time() - began < 1


@given(st.text(alphabet="ab()[]{}?*+|\\x^$.,1:#P=<>! ", max_size=20))
def test_any_text_has_a_shape_or_none(pattern: str) -> None:
    assert may_be_slow(pattern, 3) in (True, False)


def test_what_was_searched_for_is_not_sought_again() -> None:
    text = "aaa!"
    known = (Searched("a+", checksum(text), "known"), Searched("b+", checksum(text)), Searched("c+", checksum(text), slow=True))
    assert search("a+", text, known) == "known"
    assert search("b+", text, known) is None
    with pytest.raises(PatternSlow, match=r"'c\+' matches"):
        search("c+", text, known)
    # Of another text, or another pattern, nothing is known.
    assert search("a+", "xaa", known) == "aa"
    assert search("!", text, known) == "!"
    assert search("!", text) == "!"


def test_what_is_no_expression() -> None:
    for pattern in ("(", "a{9999999999999999999999}", "[z-a]"):
        with pytest.raises(ValueError, match="is no regular expression"):
            compiled(pattern)
        with pytest.raises(ValueError, match="is no regular expression"):
            compiled(pattern.encode())
