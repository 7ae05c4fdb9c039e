"""Our codecs against the interfaces that Pyth's SDK for Solidity publishes: nothing of them is missing or read otherwise."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from probekit.codecs.evm import pyth, pyth_events
from probekit.codecs.evm.contract import Event, Function
from probekit.codecs.evm.reverts import SELECTORS
from probekit.codecs.keccak import keccak256
from probekit.model.pyth_evm import PythError
from tests.system.evm.installed import INSTALLED, require_node

pytestmark = [pytest.mark.system, pytest.mark.evm]

FUNCTIONS = {one.signature: one for one in vars(pyth).values() if isinstance(one, Function)}
EVENTS = {one.signature: one for one in vars(pyth_events).values() if isinstance(one, Event)}


def members(name: str, kind: str) -> list[dict[str, Any]]:
    """What an interface of the SDK declares, of a kind."""
    require_node()
    path = INSTALLED / "node_modules" / "@pythnetwork" / "pyth-sdk-solidity" / "abis" / f"{name}.json"
    found = [one for one in msgspec.json.decode(path.read_bytes()) if one["type"] == kind]
    assert found
    return found


def types(parameters: list[dict[str, Any]]) -> str:
    return ",".join(
        f"({types(one['components'])}){one['type'].removeprefix('tuple')}" if one["type"].startswith("tuple") else one["type"]
        for one in parameters
    )


@pytest.mark.parametrize("interface", ["IPyth", "AbstractPyth"])
def test_every_function_is_known_as_the_sdk_has_it(interface: str) -> None:
    for declared in members(interface, "function"):
        signature = f"{declared['name']}({types(declared['inputs'])})"
        ours = FUNCTIONS[signature]
        assert ours.returns == types(declared["outputs"]), signature
        assert ours.payable == (declared["stateMutability"] == "payable"), signature


def test_every_event_is_known_as_the_sdk_has_it() -> None:
    for declared in members("IPythEvents", "event"):
        ours = EVENTS[f"{declared['name']}({types(declared['inputs'])})"]
        assert ours.indexed == tuple(place for place, one in enumerate(declared["inputs"]) if one["indexed"])
        assert ours in pyth_events.EVENTS


def test_every_error_is_known_by_its_selector() -> None:
    for declared in members("PythErrors", "error") + members("PythUtils", "error"):
        assert declared["inputs"] == []
        error = PythError(declared["name"])
        assert SELECTORS[keccak256(f"{error}()".encode())[:4]] is error
