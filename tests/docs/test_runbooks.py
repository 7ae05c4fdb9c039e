"""Every reason that can be given is explained where on-call looks: what it means, how to confirm it, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from probekit.errors import ERROR_TYPES, DeadlineExceeded, ProbekitError
from probekit.errors.base import Phase
from probekit.manifest import list_probes
from probekit.manifest.discovery import catalogue
from probekit.model import Status
from probekit.runner.failures import status_of
from tests.docs.reasons import DYNAMIC, reasons_in
from tests.docs.reference import DOCS, ROOT, check_classes, probes_using, runbook_sections, source_of

RUNNER = ROOT / "src" / "probekit" / "runner"
COMMON = "any_probe"
NO_VERDICT = {"cancelled"}
"""Error types that only attempts have: no verdict is ever made of them."""


def sections(page: str) -> dict[str, str]:
    """The text under each heading of the third level."""
    parts = re.split(r"^### (\w+)\n", (DOCS / "runbooks" / f"{page}.md").read_text(), flags=re.MULTILINE)
    return {
        name: re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


PAGES = {page: sections(page) for page in runbook_sections()}
ALL = [pytest.param(page, reason, id=f"{page}-{reason}") for page, found in PAGES.items() for reason in found]


def statuses_told(page: str, reason: str) -> set[str]:
    """The statuses in bold at the beginning of a section."""
    opening = PAGES[page][reason].strip().partition(".")[0]
    return set(re.findall(r"\*\*(\w+)\*\*", opening))


def from_checks() -> Iterator[tuple[str, str, str]]:
    """(check's class, status, reason) of everything that is not OK."""
    for kind in check_classes():
        for status, reason in reasons_in(source_of(kind)):
            assert status != DYNAMIC, f"{kind.__name__}: a status that cannot be read from its source"
            if status != "OK":
                yield kind.__name__, status, reason


def from_the_failure_map() -> dict[str, str]:
    """Every ``error_type`` that a verdict can carry as its reason, and its status."""

    def leaves(kind: type[ProbekitError]) -> Iterator[type[ProbekitError]]:
        if kind.__module__.startswith("probekit."):
            yield kind
        for below in kind.__subclasses__():
            yield from leaves(below)

    deadlines = [DeadlineExceeded("", phase=phase) for phase in (None, *get_args(Phase))]
    others = [kind.__new__(kind) for kind in leaves(ProbekitError) if kind is not DeadlineExceeded]
    return {error.error_type: status_of(error).name for error in (*deadlines, *others)}


def from_the_runner() -> dict[str, str]:
    """What the runner says in words of its own."""
    pairs = [pair for path in sorted(RUNNER.glob("*.py")) for pair in reasons_in(path)]
    return {reason: status for status, reason in pairs if reason != DYNAMIC}


@pytest.mark.parametrize(("page", "reason"), ALL)
def test_each_section_says_what_how_and_what_to_do(page: str, reason: str) -> None:
    text = PAGES[page][reason].strip()
    assert text.count("\n- Confirm: ") == 1
    assert text.count("\n- Do: ") == 1
    meaning, _, rest = text.partition("\n- Confirm: ")
    assert len(meaning.split()) > 5
    assert all(len(part.split()) >= 1 for part in rest.split("\n- Do: "))
    assert statuses_told(page, reason) or reason in NO_VERDICT


def test_every_reason_of_a_check_is_explained_with_its_status() -> None:
    reasons = list(from_checks())
    assert len(reasons) > 25
    for kind in check_classes():
        pages = [*probes_using(kind), COMMON]
        for name, status, reason in reasons:
            if name != kind.__name__ or reason == DYNAMIC:
                continue
            explained = [page for page in pages if reason in PAGES.get(page, {})]
            assert explained, f"{name} says {reason}: add it to one of {pages}"
            assert status in set().union(*(statuses_told(page, reason) for page in explained)), (name, reason)


def test_every_probe_explains_its_own_checks_on_its_own_page() -> None:
    using, reasons = {kind.__name__: probes_using(kind) for kind in check_classes()}, list(from_checks())
    for probe in list_probes((catalogue(),)):
        used = {name for name, probes in using.items() if probe.name in probes}
        assert used, probe.name
        for name, _, reason in reasons:
            if name in used and reason not in (DYNAMIC, "pending", "widening_confidence"):
                assert reason in PAGES[probe.name], f"{probe.name}.md: add a section '### {reason}'"


def test_every_error_type_is_explained_with_the_status_of_the_failure_map() -> None:
    mapped = from_the_failure_map()
    assert set(mapped) >= {"decode", "not_entitled", "deadline_tls", "wrong_chain"}
    for reason in sorted(ERROR_TYPES - NO_VERDICT):
        pages = [page for page in (COMMON, "hermes_proof") if reason in PAGES[page]]
        assert pages, f"add a section '### {reason}' to {COMMON}.md"
        status = mapped.get(reason) or from_the_runner()[reason]
        for page in pages:
            assert statuses_told(page, reason) == {status}, (page, reason)


def test_every_word_of_the_runner_is_explained() -> None:
    said = from_the_runner()
    assert set(said) == {"probe_error", "behind_endpoint", "vantage", "pending"}
    for reason, status in said.items():
        assert statuses_told(COMMON, reason) == {status}


def test_no_section_explains_what_nothing_says() -> None:
    known = {reason for _, _, reason in from_checks()} | set(from_the_failure_map()) | set(from_the_runner()) | NO_VERDICT
    assert [(page, reason) for page, found in PAGES.items() for reason in found if reason not in known] == []


def test_every_probe_has_a_page_and_every_page_is_in_the_navigation() -> None:
    names = {probe.name for probe in list_probes((catalogue(),))}
    assert names | {COMMON} == set(PAGES)
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert [page for page in PAGES if f"runbooks/{page}.md" not in navigation] == []


def test_the_reader_of_reasons_is_not_blind(tmp_path: Path) -> None:
    """Helpers, names, pairs and conditions: what it rests on."""
    path = tmp_path / "check.py"
    path.write_text(
        "def check(self, x):\n"
        "    def unknown(reason, words):\n"
        "        return Verdict(self.name, Status.UNKNOWN, reason, words)\n"
        "    if x == 1:\n"
        "        return unknown('lost', '')\n"
        "    if x == 2:\n"
        "        status, reason = Status.WARNING, 'slow'\n"
        "    else:\n"
        "        status, reason = Status.OK, 'quick'\n"
        "    if x == 3:\n"
        "        return Verdict(self.name, Status.CRITICAL, x.word, '')\n"
        "    if x == 4:\n"
        "        return Verdict(self.name, Status.CRITICAL if x else Status.OK, 'bad' if x else 'good', '')\n"
        "    return Verdict(self.name, status, reason, '')\n"
    )
    assert set(reasons_in(path)) == {
        ("UNKNOWN", "lost"), ("WARNING", "slow"), ("OK", "quick"), ("CRITICAL", DYNAMIC), ("CRITICAL", "bad"), ("OK", "good"),
    }  # fmt: skip
    assert {status for status, _ in reasons_in(path)} <= {one.name for one in Status}
