"""Events as people write them, and conditions on what they say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.evm.conditions import Condition, NamedEvent, shown
from probekit.errors import DecodeError
from probekit.model.evm import Address, Log
from tests.support.mutation import mutations

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
ONE, OTHER = Address("0x" + "11" * 20), Address("0x" + "22" * 20)


def log(event: NamedEvent, *values: Any) -> Log:
    topics, data = event.event.encode(*values)
    return Log(ONE, topics, data, 1, "0x01", "0x02", 0)


def test_a_declaration_as_it_stands_in_solidity() -> None:
    event = NamedEvent.parse(TRANSFER)
    assert event.event.signature == "Transfer(address,address,uint256)"
    assert event.event.topic.hex() == "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    assert event.arguments(log(event, ONE, OTHER, 5)) == {"from": ONE, "to": OTHER, "value": 5}
    same = NamedEvent.parse("event  Transfer( address indexed from,\n  address  indexed to , uint value );")
    assert same == event
    nameless = NamedEvent.parse("Sent((int64,uint64)[] , bytes32 indexed, string note)")
    assert (nameless.names, nameless.event.indexed) == (("0", "1", "note"), (1,))
    assert NamedEvent.parse("Paused()").arguments(log(NamedEvent.parse("Paused()"))) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Transfer", "is no event"),
        ("Transfer(address to", "is no event"),
        ("T(addres to)", "no list of ABI types"),
        ("T(address a, uint256 a)", "names must differ"),
        ("T(string indexed note)", "only a hash is kept"),
        ("T(uint8[] indexed a)", "only a hash is kept"),
        ("T(bool indexed a, bool indexed b, bool indexed c, bool indexed d)", "no more than three"),
        ("T(address to,)", "has no type"),
        ("T(uint7 a)", "no integer has 7 bits"),
    ],
)
def test_what_is_no_event(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        NamedEvent.parse(text)


KINDS = NamedEvent.parse(
    "All(uint256 n, int64 i, address a, bytes32 id, bytes raw, bool yes, string s, (uint64,(bool,uint8)[])[] rows)"
)
VALUES = {
    "n": 1_500_000_000_000_000_000,
    "i": -7,
    "a": ONE,
    "id": bytes(32),
    "raw": b"\x01\x02",
    "yes": True,
    "s": "hello world",
    "rows": ((9, ((True, 3),)),),
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("n > 1.5 ether", False),
        ("n >= 1.5 ether", True),
        ("n == 1_500_000_000 gwei", True),
        ("n > 1", True),
        ("n < 2 KILO", False),
        ("n in [1, 1.5 ether]", True),
        ("n != 3", True),
        ("i < 0", True),
        ("i == -7", True),
        ("i <= -8", False),
        (f"a == {ONE}", True),
        (f"a == {ONE.lower()}", True),
        (f"a in [{OTHER}, {ONE}]", True),
        (f"a != {ONE}", False),
        ("id == 0x" + "00" * 32, True),
        ("raw == 0x0102", True),
        ("raw != 0x", True),
        ("yes == true", True),
        ("yes==false", False),
        ('s == "hello world"', True),
        ('s startswith "hello"', True),
        ('s contains "o w"', True),
        ('s contains "x"', False),
        ('s in ["a","hello world"]', True),
        ("rows.0.0 == 9", True),
        ("rows.0.1.0.1 > 2", True),
        ("rows.0.1.0.0 == true", True),
        ("rows.5.0 != 9", False),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert Condition.parse(text, KINDS, {"KILO": 3}).holds(VALUES) is holds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("n", "is no condition"),
        ("n ~ 5", "is no condition"),
        ("m > 5", "has no m; it has n, i, a"),
        ("n > 5 USDC", "no unit is called USDC; there are wei, gwei, ether"),
        ("n > 0.5", "no whole number of base units"),
        ("n > 0.0000000001 gwei", "no whole number of base units"),
        ("n > five", "no number"),
        ("n == -1", "does not fit"),
        ("a > 5", "> does not go with address"),
        ("a == 0x12", "is not an address"),
        ("a == 0x" + "aB" * 20, "wrong checksum"),
        ("id == 0x12", "is no bytes32"),
        ("raw == 12", "is no bytes"),
        ("yes == yes", "neither true nor false"),
        ("s == hello", "no text in double quotes"),
        ("s > 5", "> does not go with string"),
        ("n startswith 1", "does not go with uint256"),
        ("n in 5", "no list in brackets"),
        ("rows == 5", "does not go with"),
        ("rows.0.2 == 5", "has 2 members, and no 2"),
        ("n.0 == 5", "uint256 has no members"),
    ],
)
def test_what_never_could_hold_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Condition.parse(text, KINDS)


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1), st.sampled_from([">", ">=", "<", "<=", "==", "!="]))
def test_numbers_are_compared_exactly(value: int, limit: int, operator: str) -> None:
    event = NamedEvent.parse(TRANSFER)
    expected = {
        ">": value > limit, ">=": value >= limit, "<": value < limit, "<=": value <= limit,
        "==": value == limit, "!=": value != limit,
    }[operator]  # fmt: skip
    arguments = event.arguments(log(event, ONE, OTHER, value))
    assert Condition.parse(f"value {operator} {limit}", event).holds(arguments) is expected


@given(st.integers(0, 10**30), st.integers(0, 18))
def test_a_unit_moves_the_point_and_nothing_else(number: int, places: int) -> None:
    event = NamedEvent.parse("T(uint256 v)")
    digits = f"{number:0{places + 1}d}"
    text = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}" if places else digits
    assert Condition.parse(f"v == {text} COIN", event, {"COIN": places}).value == number


def test_damaged_logs_decode_or_say_why() -> None:
    event = NamedEvent.parse("T(bytes32 indexed id, (uint64,string)[] rows, bool yes)")
    topics, raw = event.event.encode(bytes(32), ((1, "a"), (2, "bc")), True)
    for damaged in mutations(raw):
        try:
            arguments = event.arguments(Log(ONE, topics, damaged, 1, "0x01", "0x02", 0))
        except DecodeError:
            continue
        assert event.event.encode(*arguments.values())[1] == damaged


@given(st.text(max_size=300))
def test_no_text_does_more_than_raise(text: str) -> None:
    for make in (NamedEvent.parse, lambda one: Condition.parse(one, KINDS)):
        try:
            make(text)
        except ValueError:
            pass


def test_values_are_shown_short() -> None:
    assert shown(b"\x01\xff") == "0x01ff"
    assert shown((True, (1, ONE))) == f"(true, (1, {ONE}))"
    assert len(shown(b"\x00" * 10_000)) == 200
    assert len(shown(((1,) * 100,) * 100)) <= 200
