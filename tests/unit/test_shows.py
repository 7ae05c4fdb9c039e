"""The claims of tests themselves: a false one must fail the test that makes it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shows import Claim, claims_in, read

ROOT = Path(__file__).resolve().parents[2]

INNER = """
import asyncio
import pytest
from probekit.errors import ConnectError
from probekit.model import Failure, Observation, Status, Target, Verdict
from probekit.probe import Options, Probe
from probekit.runner import run_once
from probekit.testing import FakeClock

class Asked(Options, frozen=True, kw_only=True):
    answers: tuple[str, ...]

class Judge:
    name = "judge"
    def __call__(self, observation, *, now):
        status = Status.OK if observation.value == "well" else Status.CRITICAL
        return Verdict(self.name, status, observation.value, "")

async def targets(ctx):
    return [Target(one, "thing") for one in ctx.options.answers]

async def observe(ctx, watched):
    for one in watched:
        if one.id == "lost":
            yield Failure(ConnectError("refused"), "here", ctx.clock.now(), one.id)
        else:
            yield Observation(one.id, "here", ctx.clock.now(), one.id)

def probe(name):
    return Probe.poll(name=name, question="Is it?", options=Asked, targets=targets, observe=observe,
                      checks=lambda options, target: [Judge()])

async def run(*answers, name="mine"):
    return await run_once(probe(name), Asked(answers=answers), clock=FakeClock())

@pytest.mark.shows("mine", "OK", "CRITICAL bad", "CRITICAL connect")
async def test_true():
    await run("well")
    await run("well", "bad", "lost")

@pytest.mark.shows("mine", "OK")
@pytest.mark.shows("other", "CRITICAL bad")
async def test_true_of_two():
    await run("well")
    await run("bad", name="other")

@pytest.mark.shows("mine", "OK")
async def test_false_that_all_is_well():
    await run("well", "bad")

@pytest.mark.shows("mine", "CRITICAL bad")
async def test_false_reason():
    await run("lost")

@pytest.mark.shows("mine", "WARNING bad")
async def test_false_status():
    await run("bad")

@pytest.mark.shows("mine", "OK")
async def test_false_probe():
    await run("well", name="other")

@pytest.mark.shows("mine", "OK")
def test_false_that_it_ran():
    assert Verdict("judge", Status.OK, "well", "")

@pytest.mark.shows("mine", "OK")
async def test_false_in_what_ran_before():
    await asyncio.sleep(0)

@pytest.mark.parametrize("answer", ["well", pytest.param("bad", marks=pytest.mark.shows("mine", "CRITICAL worse"))])
async def test_one_case_of_several_is_false(answer):
    await run(answer)

@pytest.mark.shows("mine", "CRITICAL")
async def test_no_reason():
    await run("bad")

async def test_claims_nothing():
    await run("bad")
"""


def test_a_false_claim_fails_the_test_that_makes_it(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(INNER)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "tests.support.shows", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(tmp_path), "-c", os.devnull, "-o", "asyncio_mode=auto", "--strict-markers", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))), "COLUMNS": "250"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=50, check=False, cwd=tmp_path)
    failed = dict(re.findall(r"^FAILED test_inner\.py::test_(\S+) - (.+)$", ended.stdout, re.MULTILINE))
    seen = {
        "false_that_all_is_well": ("OK", "CRITICAL bad"),
        "false_reason": ("CRITICAL bad", "CRITICAL connect"),
        "false_status": ("WARNING bad", "CRITICAL bad"),
        "false_probe": ("OK", "no run of it"),
        "false_that_it_ran": ("OK", "no run of it"),
        "false_in_what_ran_before": ("OK", "no run of it"),
        "one_case_of_several_is_false[bad]": ("CRITICAL worse", "CRITICAL bad"),
    }
    expected = {
        name: f"Failed: this test shows no {state} of mine, as it claims; seen: {told}" for name, (state, told) in seen.items()
    }
    told = failed.pop("no_reason", ended.stdout + ended.stderr)
    assert "'CRITICAL' is no state" in told
    assert failed == expected
    assert "8 failed, 4 passed" in ended.stdout


@pytest.mark.parametrize(
    ("decorators", "words"),
    [
        ('@pytest.mark.shows("mine", "CRITICAL")', "is no state"),
        ('@pytest.mark.shows("mine", "OK fresh")', "is no state"),
        ('@pytest.mark.shows("mine", "SKIPPED market_closed")', "is no state"),
        ('@pytest.mark.shows("mine")', "one state or more"),
        ("@pytest.mark.shows", "written out"),
        ('@pytest.mark.shows("mine", STATE)', "written out"),
        ('@pytest.mark.shows("mine", state="OK")', "is no state"),
        ('@pytest.mark.skip\n@pytest.mark.shows("mine", "OK")', "has the mark skip"),
        ('@pytest.mark.xfail(strict=False)\n@pytest.mark.shows("mine", "OK")', "has the mark xfail"),
        ('def helper(): pass\n@helper\n@pytest.mark.skipif(True, reason="x")\n@pytest.mark.shows("mine", "OK")', "mark skipif"),
    ],
)
def test_a_claim_that_could_not_be_held_is_refused(tmp_path: Path, decorators: str, words: str) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(f"{decorators}\ndef test_it():\n    pass\n")
    with pytest.raises(ValueError, match=re.escape(words)):
        claims_in(path)


@pytest.mark.parametrize(
    "around",
    [
        'pytestmark = [pytest.mark.system, pytest.mark.skipif(True, reason="")]\nclass TestIt:\n',
        "@pytest.mark.skip\nclass TestIt:\n",
        "class TestIt:\n    pytestmark = pytest.mark.xfail\n",
    ],
)
def test_a_claim_in_what_is_not_run_is_refused(tmp_path: Path, around: str) -> None:
    path = tmp_path / "test_it.py"
    inner = '    @pytest.mark.shows("mine", "OK")\n    def test_it(self):\n        pass\n'
    path.write_text(around + inner)
    with pytest.raises(ValueError, match=r"it may show nothing"):
        claims_in(path)
    path.write_text("class TestIt:\n" + inner)
    assert claims_in(path) == [Claim("mine", "OK", "test_it.py::test_it")]


def test_a_claim_on_no_test_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    for text in (
        'pytestmark = pytest.mark.shows("mine", "OK")\n',
        '@pytest.mark.shows("mine", "OK")\ndef helper():\n    pass\n',
        'def outer():\n    @pytest.mark.shows("mine", "OK")\n    def test_it():\n        pass\n',
        'class Helper:\n    @pytest.mark.shows("mine", "OK")\n    def test_it(self):\n        pass\n',
        '@pytest.mark.shows("mine", "OK")\ndef test_it():\n    pass\ndef test_it():\n    pass\n',
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match="on no test"):
            claims_in(path)


def test_claims_are_read_as_they_are_enforced(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(INNER.replace('@pytest.mark.shows("mine", "CRITICAL")\n', ""))
    claims = claims_in(path)
    assert claims[:3] == read(("mine", "OK", "CRITICAL bad", "CRITICAL connect"), {}, "test_it.py::test_true")
    two = "test_it.py::test_true_of_two"
    assert {Claim("mine", "OK", two), Claim("other", "CRITICAL bad", two)} == {one for one in claims if one.test == two}
    assert claims[-1] == Claim("mine", "CRITICAL worse", "test_it.py::test_one_case_of_several_is_false")
