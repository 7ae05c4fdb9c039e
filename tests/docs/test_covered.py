"""The page of what is watched: each line has what does it, or the reason why nothing does, and every probe has a line."""

from __future__ import annotations

import re

import pytest

from probekit.manifest import list_probes
from probekit.manifest.discovery import catalogue
from tests.docs.reference import DOCS, ROOT, check_classes

PAGE = DOCS / "explanation" / "covered.md"
TEXT = PAGE.read_text()
LINES = [
    (what.strip(), here.strip())
    for what, here in re.findall(r"^\| (.+?) \| (.+) \|$", TEXT, re.MULTILINE)
    if not what.startswith("what is checked") and what != "gap"
]


@pytest.mark.parametrize(("what", "here"), LINES, ids=[what[:40] for what, _ in LINES])
def test_a_line_names_what_does_it_or_why_nothing_does(what: str, here: str) -> None:
    if "**left out**" in here.lower():
        reason = re.split(r"\*\*left out\*\*", here, flags=re.IGNORECASE)[1]
        assert len(reason.split()) >= 8, f"{what}: say why"
    else:
        assert re.search(r"\]\((\.\./|#|[\w-]+\.md)|`[a-z_]+`", here), f"{what}: name the probe, check or metric"


def test_every_link_leads_to_a_check_a_reason_or_a_page() -> None:
    anchors = {kind.__name__.lower() for kind in check_classes()}
    for path, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", TEXT):
        target = (PAGE.parent / path).resolve() if path else PAGE
        assert target.is_file(), path
        assert target.is_relative_to(ROOT)
        if anchor and target.name == "checks.md":
            assert anchor in anchors, anchor
        elif anchor and path:
            assert re.search(rf"^###? {re.escape(anchor)}$", target.read_text(), re.MULTILINE), f"{path}#{anchor}"


def test_every_probe_of_the_catalogue_has_a_line() -> None:
    assert [one.name for one in list_probes((catalogue(),)) if f"runbooks/{one.name}.md" not in TEXT] == []


def test_every_reason_in_a_line_is_explained_in_a_runbook() -> None:
    pages = [page.read_text() for page in (DOCS / "runbooks").glob("*.md")]
    explained = {reason for page in pages for reason in re.findall(r"^### (\w+)$", page, re.MULTILINE)}
    options = {"reference_exchanges", "accounts", "expect_status", "expect_json"}
    names = {one.name for one in list_probes((catalogue(),))}
    said = {word for _, here in LINES for word in re.findall(r"`([a-z]+(?:_[a-z]+)*)`", here)}
    assert sorted(said - explained - options - names) == []
