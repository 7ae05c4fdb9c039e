"""What a test claims to show of a probe, and whether it did.

``@pytest.mark.shows("http_service", "OK", "CRITICAL server_error")`` says of a test that in it a run of that probe is OK as a
whole, and that one has a verdict CRITICAL for that reason. The test fails when a claim was not seen. ``OK`` stands alone, the
others with their reason: a failing run is only as good as the word it fails with.

Seen is what a runner closed in this process while the test ran: not what a test judged by itself, and no replay.
"""

from __future__ import annotations

import ast
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from probekit.model import ProbeRun

OK: Final = "OK"
FAILING: Final = ("WARNING", "CRITICAL", "UNKNOWN")
_NOT_RUN: Final = {"skip", "skipif", "xfail"}

State = str
"""``OK``, or a failing status and its reason: ``CRITICAL server_error``."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One state that one test says it shows."""

    probe: str
    state: State
    test: str

    @property
    def status(self) -> str:
        return self.state.partition(" ")[0]

    @property
    def reason(self) -> str:
        return self.state.partition(" ")[2]


def read(arguments: Iterable[object], named: Iterable[object], test: str) -> list[Claim]:
    """The claims of one marker. Raises ``ValueError`` for a marker that claims nothing that could be seen."""
    probe, *states = [*arguments, *([None] if named else [])] or [None]
    if not isinstance(probe, str) or not states:
        raise ValueError(f"{test}: shows(probe, state, ...): a probe's name and one state or more")
    for state in states:
        status, _, reason = state.partition(" ") if isinstance(state, str) else ("", "", "")
        if state != OK and (status not in FAILING or not reason.isidentifier()):
            raise ValueError(f"{test}: {state!r} is no state: 'OK', or one of {', '.join(FAILING)} with its reason")
    return [Claim(probe, str(state), test) for state in states]


# -- enforced while the test runs ------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """The states of every run that was closed, by probe."""

    states: dict[str, set[State]] = field(default_factory=dict)

    def take(self, run: ProbeRun) -> None:
        states = self.states.setdefault(run.probe, set())
        for result in run.results:
            states |= {f"{one.status.name} {one.reason}" for one in result.verdicts if one.status.name in FAILING}
        # What was not seen yet is skipped: a run that is OK without it looked at less than it was asked to.
        looked_at_all = all(any(one.reason != "pending" for one in result.verdicts) for result in run.results)
        if run.status.name == OK and looked_at_all:
            states.add(OK)

    def lacks(self, claims: Iterable[Claim]) -> list[str]:
        """A sentence for each claim that was not seen."""
        missing = []
        for claim in claims:
            states = self.states.get(claim.probe, set())
            if claim.state not in states:
                seen = ", ".join(sorted(states)) or "no run of it"
                missing.append(f"this test shows no {claim.state} of {claim.probe}, as it claims; seen: {seen}")
        return missing


@contextmanager
def watched() -> Iterator[Seen]:
    """Every run that is closed in this process meanwhile."""
    from probekit.runner.core import Runner

    seen, close_run = Seen(), Runner.close_run

    async def noted(self: Runner[Any], **given: Any) -> ProbeRun:
        run = await close_run(self, **given)
        seen.take(run)
        return run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runner, "close_run", noted)
        yield seen


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shows(probe, state, ...): states of a probe that are seen in this test, or it fails")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    markers = item.iter_markers("shows")
    claims = [claim for one in markers for claim in read(one.args, one.kwargs, item.nodeid)]
    if not claims:
        return (yield)
    with watched() as seen:
        result = yield
    if missing := seen.lacks(claims):
        pytest.fail("\n".join(missing), pytrace=False)
    return result


# -- read without running --------------------------------------------------------------------------------------------------


def claims_in(path: Path) -> list[Claim]:
    """Every claim of a file of tests, from its syntax.

    Raises ``ValueError`` for one that is not on a test that runs, or that is not written out.
    """
    tree = ast.parse(path.read_text())
    claims: list[Claim] = []
    placed: set[ast.AST] = set()
    for function, above in _tests(tree.body, set()):
        test = f"{path.name}::{function.name}"
        marks = [(name, node) for one in function.decorator_list for name, node in _marks(one)]
        shown = [node for name, node in marks if name == "shows"]
        if shown and (without := _NOT_RUN & ({name for name, _ in marks} | above)):
            raise ValueError(f"{test} claims states and has the mark {min(without)}: it may show nothing")
        for node in shown:
            if not isinstance(node, ast.Call) or any(not isinstance(one, ast.Constant) for one in node.args):
                raise ValueError(f"{test}: shows(...) takes strings that are written out")
            placed.add(node)
            claims += read([one.value for one in node.args if isinstance(one, ast.Constant)], node.keywords, test)
    if lost := {node for name, node in _marks(tree) if name == "shows"} - placed:
        lines = ", ".join(str(getattr(one, "lineno", 0)) for one in lost)
        raise ValueError(f"{path.name}:{lines}: a marker shows(...) that is on no test")
    return claims


def _tests(body: list[ast.stmt], above: set[str]) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, set[str]]]:
    """What pytest collects of a module or class, each with the names of the marks of all that it stands in."""
    for node in body:
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == "pytestmark" for one in node.targets):
            above = above | {name for name, _ in _marks(node.value)}
    # By their names: of two of one name the last is run.
    named = {one.name: one for one in body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    for name, one in named.items():
        if isinstance(one, ast.ClassDef):
            if name.startswith("Test"):
                yield from _tests(one.body, above | {mark for each in one.decorator_list for mark, _ in _marks(each)})
        elif name.startswith("test_"):
            yield one, above


def _marks(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Each ``pytest.mark.NAME`` under ``tree``, with the call that it is, if it is called."""
    called = {id(one.func): one for one in ast.walk(tree) if isinstance(one, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "mark":
            yield node.attr, called.get(id(node), node)
