"""Paths into JSON: what is one, what it finds, and that it reads as it is written."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from probekit.model.json_path import JsonPath

DOCUMENT = {"parsed": [{"id": "aa", "price": {"expo": -8}}, {"id": "bb"}], "a.b": {"": [None]}, "0": "text"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", DOCUMENT),
        ("parsed[0].price.expo", -8),
        ("$.parsed[-1].id", "bb"),
        ('["a.b"][""][0]', None),
        ("0", "text"),
    ],
)
def test_what_is_found(path: str, value: object) -> None:
    assert JsonPath.parse(path).find(DOCUMENT) == value


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("parsed[2].id", "parsed[2]"),
        ("parsed.id", "parsed.id"),
        ("parsed[0].price.nothing.more", "parsed[0].price.nothing"),
        ("0[0]", "0[0]"),
        ("[0]", "[0]"),
        ("parsed[-3]", "parsed[-3]"),
    ],
)
def test_the_step_that_leads_nowhere_is_named(path: str, where: str) -> None:
    with pytest.raises(LookupError) as caught:
        JsonPath.parse(path).find(DOCUMENT)
    assert caught.value.args[0] == f"nothing at {where}"


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "a.", "a[", "a[x]", ".a", "$a", "a b", "a]", "*[", 'a["', "[1", "a[1234567890]"]
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="is no path: write names and indices"):
        JsonPath.parse(text)


@example(["$"])
@example(["$0", 1, "$"])
@given(
    st.lists(st.integers(-999, 999) | st.text(st.characters(exclude_characters='"]', exclude_categories=["Cs"])), max_size=6)
)
def test_a_path_reads_as_it_is_written(steps: list[str | int]) -> None:
    path = JsonPath(tuple(steps))
    assert JsonPath.parse(str(path)) == path


@given(st.text(max_size=30))
def test_any_text_is_a_path_or_told(text: str) -> None:
    try:
        path = JsonPath.parse(text)
    except ValueError:
        return
    assert JsonPath.parse(str(path)) == path
