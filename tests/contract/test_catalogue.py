"""Every probe of the catalogue, found by walking its folder: what it must have to be finished.

Each is asked for a question, a manifest that binds, a row in the reference and a runbook; and, in the tier of fake clocks as in
that of real components, for runs that were seen: one that is OK, and two that fail for different reasons. Tests claim them with
``@pytest.mark.shows``, which fails the test that does not show them (``tests/support/shows.py``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache

import pytest

from probekit.errors import ERROR_TYPES
from probekit.manifest import Found, list_probes, load_probe, read_manifest
from probekit.manifest.discovery import catalogue
from tests.docs.reference import DOCS, ROOT
from tests.support.shows import Claim, claims_in

FOUND = list_probes((catalogue(),))
TIERS = {"fake clock": ROOT / "tests" / "unit" / "probes", "real components": ROOT / "tests" / "system"}
FAILING = ("WARNING", "CRITICAL")
"""What counts as a failing state. UNKNOWN is what is wrong here: a probe that can say only that finds no fault."""
RUNNERS_OWN = {"probe_error", "vantage", "behind_endpoint"}


@cache
def claims_of(tier: str) -> dict[str, list[Claim]]:
    """The claims of a tier's tests, by probe."""
    claims = defaultdict(list)
    for path in sorted(TIERS[tier].rglob("test_*.py")):
        for one in claims_in(path):
            claims[one.probe].append(one)
    return claims


def lacking(claims: list[Claim]) -> list[str]:
    """What those do not show of a probe."""
    failing = {one.reason for one in claims if one.status in FAILING} - RUNNERS_OWN
    own = failing - ERROR_TYPES
    return [
        *([] if any(one.status == "OK" for one in claims) else ["a run that is OK"]),
        *([] if len(failing) >= 2 else [f"two runs that fail for different reasons (there: {', '.join(failing) or 'none'})"]),
        # One that any probe has, such as a refused connection, says nothing of what this one looks for.
        *([] if own else ["a run that fails for a reason of its own checks"]),
    ]


@pytest.mark.parametrize("found", [pytest.param(one, id=one.name) for one in FOUND])
def test_a_probe_has_a_question_a_manifest_a_row_and_a_runbook(found: Found) -> None:
    probe = load_probe(found)
    assert probe.name == found.name
    assert found.question.endswith("?")
    assert probe.question == found.question
    assert found.manifest is not None, f"{found.name}.yaml is missing"
    assert isinstance(read_manifest(probe, found.manifest).options, probe.options)
    row = f"\n## {found.name}\n\n{found.question}\n"
    assert row in (DOCS / "reference" / "probes.md").read_text()
    assert len(re.findall(r"^### \w+$", (DOCS / "runbooks" / f"{found.name}.md").read_text(), re.MULTILINE)) >= 1


@pytest.mark.parametrize("found", [pytest.param(one, id=one.name) for one in FOUND])
@pytest.mark.parametrize("tier", TIERS)
def test_a_probe_is_seen_well_and_failing(found: Found, tier: str) -> None:
    missing = lacking(claims_of(tier).get(found.name, []))
    where = TIERS[tier].relative_to(ROOT)
    assert missing == [], f'no test under {where} is marked shows("{found.name}", ...) for: {"; ".join(missing)}'


@pytest.mark.parametrize("tier", TIERS)
def test_no_claim_is_of_a_probe_that_is_not_there(tier: str) -> None:
    assert set(claims_of(tier)) - {one.name for one in FOUND} == set()


def test_what_claims_to_show_it_with_real_components_is_of_that_tier() -> None:
    """Or it would run in no tier that has them."""
    folder = TIERS["real components"]
    marked = re.compile(r"^pytestmark = .*\bpytest\.mark\.system\b", re.MULTILINE)
    claiming = [path for path in folder.rglob("test_*.py") if claims_in(path)]
    assert [path.name for path in claiming if not marked.search(path.read_text())] == []


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (["OK", "CRITICAL stale", "CRITICAL connect"], []),
        (["OK", "WARNING late", "CRITICAL stale"], []),
        (["CRITICAL stale", "CRITICAL connect"], ["a run that is OK"]),
        (["OK", "CRITICAL stale", "WARNING stale"], ["two runs that fail for different reasons (there: stale)"]),
        (["OK", "CRITICAL connect", "CRITICAL server_error"], ["a run that fails for a reason of its own checks"]),
        (["OK", "CRITICAL stale", "UNKNOWN too_few"], ["two runs that fail for different reasons (there: stale)"]),
        (["OK", "CRITICAL stale", "CRITICAL probe_error"], ["two runs that fail for different reasons (there: stale)"]),
    ],
)
def test_the_walk_names_what_is_missing(states: list[str], words: list[str]) -> None:
    assert lacking([Claim("mine", state, "") for state in states]) == words
