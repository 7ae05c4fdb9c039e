"""Which (status, reason) pairs a source file can give, read from its syntax: from every ``Verdict(...)`` it makes, through
local helpers, names and conditional expressions.

What is not literal (an error's own type as the reason) comes out as :data:`DYNAMIC`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

DYNAMIC: Final = "*"
"""A status or reason that only running tells."""

_STATUS_AT: Final = 1
_REASON_AT: Final = 2
Pair = tuple[str, str]
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class _Helper:
    """A local function that makes a verdict: where among its arguments its status and reason are, or what they always are."""

    status: int | str = _STATUS_AT
    reason: int | str = _REASON_AT


@cache
def reasons_in(path: Path) -> list[Pair]:
    """Every pair that the file can give, each once."""
    pairs: list[Pair] = []
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, _Function):
            continue
        inner = {one.name: _helper(one) for one in function.body if isinstance(one, ast.FunctionDef)}
        helpers = {name: helper for name, helper in inner.items() if helper is not None}
        for call in _calls(function, helpers):
            pairs += _pairs(call, function, helpers)
    return list(dict.fromkeys(pairs))


def _calls(function: ast.AST, helpers: dict[str, _Helper]) -> Iterator[ast.Call]:
    """Verdicts made by ``function`` itself; those of functions inside it count by themselves, or through their callers."""
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, _Function | ast.Lambda):
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"Verdict", *helpers}:
            yield node
        waiting = [*ast.iter_child_nodes(node), *waiting]


def _helper(function: ast.FunctionDef) -> _Helper | None:
    made = next(_calls(function, {}), None)
    if made is None:
        return None
    names = [argument.arg for argument in function.args.args]

    def place(node: ast.expr) -> int | str:
        return names.index(node.id) if isinstance(node, ast.Name) and node.id in names else _literals(node, function)[0]

    return _Helper(place(made.args[_STATUS_AT]), place(made.args[_REASON_AT]))


def _pairs(call: ast.Call, function: _Function, helpers: dict[str, _Helper]) -> list[Pair]:
    assert isinstance(call.func, ast.Name)
    helper = helpers.get(call.func.id, _Helper())
    if isinstance(helper.reason, int):
        reason = call.args[helper.reason]
        if isinstance(reason, ast.Name) and reason.id in {one.arg for one in function.args.args}:
            return []  # a helper's own body: what it is called with counts

    def values(place: int | str) -> list[str]:
        return [place] if isinstance(place, str) else _literals(call.args[place], function)

    statuses, reasons = values(helper.status), values(helper.reason)
    # Two conditional expressions of one condition, or two names given their values side by side, go in step.
    if len(statuses) == len(reasons):
        return list(zip(statuses, reasons, strict=True))
    return [(status, reason) for status in statuses for reason in reasons]


def _literals(node: ast.expr, function: ast.AST) -> list[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Status":
        return [node.attr]
    if isinstance(node, ast.IfExp):
        return _literals(node.body, function) + _literals(node.orelse, function)
    if isinstance(node, ast.Name):
        return [one for value in _assigned(node.id, function) for one in _literals(value, function)] or [DYNAMIC]
    return [DYNAMIC]


def _assigned(name: str, function: ast.AST) -> list[ast.expr]:
    """Everything ``name`` is given in ``function``, alone or as a part of a tuple, in the order of the source."""
    found: list[tuple[int, ast.expr]] = []
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id == name:
                found.append((node.lineno, node.value))
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                names = [one.id if isinstance(one, ast.Name) else "" for one in target.elts]
                if name in names:
                    found.append((node.lineno, node.value.elts[names.index(name)]))
    return [value for _, value in sorted(found, key=lambda one: one[0])]
