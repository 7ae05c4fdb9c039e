"""A page that says which test holds a sentence names one that there is."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

PAGES = sorted((ROOT / "docs" / "explanation").glob("*.md"))


@cache
def defined_tests() -> frozenset[str]:
    defined = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)
    return frozenset(name for path in (ROOT / "tests").rglob("test_*.py") for name in defined.findall(path.read_text()))


def named_in(page: Path) -> list[str]:
    return re.findall(r"`(test_\w+)`", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_and_file_that_a_page_names_exists(page: Path) -> None:
    assert sorted(set(named_in(page)) - defined_tests()) == []
    files = re.findall(r"`(tests/[\w/]+(?:\.py)?)`", page.read_text())
    assert [one for one in files if not (ROOT / one).exists()] == []


def test_the_pages_of_traps_name_many() -> None:
    named = {page.stem: len(named_in(page)) for page in PAGES}
    assert named["probing-traps"] >= 25
    assert named["oracle-checks"] > 30
