"""Pages that hold us against others: each line names a test, and each test that it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {name: ROOT / "docs" / "explanation" / f"{name}.md" for name in ("complaints", "against-existing-tools")}
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(page: str) -> list[str]:
    lines = [line for line in PAGES[page].read_text().splitlines() if line.startswith("| ")]
    return [line for line in lines if not line.endswith("| proven by |")]


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("page", PAGES)
def test_every_line_names_its_test(page: str) -> None:
    assert len(rows(page)) > 25
    for row in rows(page):
        *told, proven = (cell.strip() for cell in row.strip("|").split(" | "))
        assert len(told) == (3 if page == "complaints" else 2), row
        assert all(told)
        assert NAMED.search(proven), row


@pytest.mark.parametrize(("path", "name"), sorted({one for page in PAGES.values() for one in NAMED.findall(page.read_text())}))
def test_every_test_that_is_named_is_there(path: str, name: str) -> None:
    assert name.startswith("test_")
    assert name in functions_of(ROOT / path)
