"""Options of every shape: units and limits hold at any depth, and no fault shows a secret."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import pytest

from probekit.errors import ConfigError
from probekit.manifest import read_manifest
from probekit.manifest.options import holds_secret
from probekit.model import FeedId
from probekit.model.pubkey import Pubkey
from probekit.probe import Options, Probe
from probekit.secret import Secret
from probekit.units import Bps, ByteSize, Instant
from tests.unit.manifest.shapes import ID, KEY, Circle, Leaf, Level, Node, Ring, faults, nothing, read

# -- nested options ----------------------------------------------------------------------------------------------------------


def test_units_are_read_at_every_depth(tmp_path: Path) -> None:
    options = read(
        tmp_path,
        "node:",
        f"  leaf: {{age: 30s, conf: 0.5%, size: 64kB, id: '0x{ID}'}}",
        "  leaves: [{age: 500ms}]",
        "  named: {a: {age: 2s}}",
        "ages: [1s, 2m]",
        "limits: {a: 5bps}",
    )
    assert options.node == Node(
        Leaf(timedelta(seconds=30), Bps(Decimal(50)), ByteSize(64_000), FeedId(ID)),
        (Leaf(timedelta(milliseconds=500)),),
        {"a": Leaf(timedelta(seconds=2))},
    )
    assert options.ages == (timedelta(seconds=1), timedelta(minutes=2))
    assert options.limits == {"a": Bps(Decimal(5))}


def test_a_bare_number_passes_nowhere(tmp_path: Path) -> None:
    assert faults(
        tmp_path,
        "node:",
        "  leaf: {age: 5, conf: 0.5, size: 64}",
        "  leaves: [{age: 1s}, {age: 1.5}]",
        "  named: {a: {size: 1}}",
        "ages: [1s, 2]",
        "limits: {a: 5}",
    ) == [
        "3:12 options.node.leaf.age: 5 has no unit; write a duration as 500ms, 10s or 1m30s",
        "3:20 options.node.leaf.conf: 0.5 has no unit; write a ratio as 50bps or 0.5%",
        "3:31 options.node.leaf.size: 64 has no unit; write a size as 64kB or 1MiB",
        "4:26 options.node.leaves[1].age: 1.5 has no unit; write a duration as 500ms, 10s or 1m30s",
        "5:17 options.node.named.a.size: 1 has no unit; write a size as 64kB or 1MiB",
        "6:14 options.ages[1]: 2 has no unit; write a duration as 500ms, 10s or 1m30s",
        "7:12 options.limits.a: 5 has no unit; write a ratio as 50bps or 0.5%",
    ]


def test_nested_keys_are_named_missing_and_unknown(tmp_path: Path) -> None:
    assert faults(tmp_path, "node: {laef: {age: 1s}, leaves: [{agee: 1s}]}") == [
        "2:3 options.node.leaf: missing; expected mapping with age, conf, size, id",
        "2:10 options.node.laef: unknown key; did you mean 'leaf'?",
        "2:37 options.node.leaves[0].agee: unknown key; did you mean 'age'?",
    ]


def test_a_nested_rule_is_placed_at_the_field_it_names(tmp_path: Path) -> None:
    assert faults(tmp_path, "node: {leaf: {age: 5m}}") == ["2:10 options.node.leaf: leaf is too old"]


def test_a_rule_that_fails_by_itself_is_a_fault_not_a_crash(tmp_path: Path) -> None:
    class Broken(Options, frozen=True, kw_only=True):
        count: int = 1

        def __post_init__(self) -> None:
            if self.count == 0:
                print(1 / self.count)

    probe: Probe[Broken] = Probe.poll(
        name="p", question="q?", options=Broken, targets=nothing, observe=nothing, checks=lambda options, target: []
    )
    with pytest.raises(ConfigError, match="options: its own rules fail: ZeroDivisionError: division by zero"):
        read_manifest(probe, None, {"count": "0"})


# -- text that YAML takes for something else ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["ids", "feeds"])
def test_an_unquoted_feed_id_is_named_as_such_with_its_line(tmp_path: Path, key: str) -> None:
    (fault,) = faults(tmp_path, f"{key}:", f"  - '0x{ID}'", f"  - 0x{ID}")
    assert fault == f'4:7 options.{key}[1]: YAML reads 0x{ID} as a number, and this is text; quote it: "0x{ID}"'


def test_an_id_of_digits_alone_and_one_as_a_key(tmp_path: Path) -> None:
    digits = "1234567890" * 6 + "1234"
    assert faults(tmp_path, f"ids: [{digits}]") == [
        f'2:9 options.ids[0]: YAML reads {digits} as a number, and this is text; quote it: "{digits}"'
    ]
    assert faults(tmp_path, f"by_id: {{0x{ID}: 1s}}") == [f"2:11 options.by_id: the key 0x{ID} is not text; quote it"]
    assert read(tmp_path, f"ids: [{ID}]").ids == (FeedId(ID),)
    assert read(tmp_path, f'by_id: {{"0x{ID}": 1s}}').by_id == {FeedId(ID): timedelta(seconds=1)}


def test_two_spellings_of_one_key_are_one_key(tmp_path: Path) -> None:
    assert faults(tmp_path, f'by_id: {{"0x{ID}": 1s, "{ID.upper()}": 2s, nope: 1s}}') == [
        f"2:85 options.by_id.{ID.upper()}: given twice, in another spelling",
        "2:157 options.by_id.nope: 'nope' is not a feed id: 64 hex digits, with or without 0x",
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("region: 10", 'YAML reads 10 as a number, and this is text; quote it: "10"'),
        ("region: 1.10", 'YAML reads 1.10 as a number, and this is text; quote it: "1.10"'),
        ("region: no", 'YAML reads no as true or false, and this is text; quote it: "no"'),
        ("mode: on", 'YAML reads on as true or false, and this is text; quote it: "on"'),
        ("region: null", 'YAML reads null as nothing, and this is text; quote it: "null"'),
        ("region:", "expected text, got nothing"),
        ("region: [a]", "expected text, got ['a']"),
    ],
)
def test_text_that_is_not(tmp_path: Path, line: str, fault: str) -> None:
    assert faults(tmp_path, line) == [f"2:3 options.{line.partition(':')[0]}: {fault}"]


# -- numbers -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [".nan", "'NaN'", "'nan'", "sNaN", ".inf", "-.inf", "Infinity", "'-Infinity'", "'١'", "'1_0'", "''"]
)
@pytest.mark.parametrize("key", ["ratio", "share"])
def test_no_decimal_that_is_no_number(tmp_path: Path, key: str, text: str) -> None:
    (fault,) = faults(tmp_path, f"{key}: {text}")
    assert fault.startswith("2:")
    assert f"options.{key}: " in fault


@pytest.mark.parametrize("text", ["'1e5000'", "1.0e+5000", "1.0e-5000", "'" + "1" * 101 + "'"])
def test_no_decimal_that_cannot_be_written_out(tmp_path: Path, text: str) -> None:
    (fault,) = faults(tmp_path, f"ratio: {text}")
    assert "options.ratio: " in fault
    assert "more than 100 digits when written out" in fault


@pytest.mark.parametrize(
    ("text", "value"), [("1.10", "1.10"), ("'1.10'", "1.10"), ("5", "5"), ("'-1e-3'", "-0.001"), ("0x10", "16")]
)
def test_decimals_are_exact(tmp_path: Path, text: str, value: str) -> None:
    assert str(read(tmp_path, f"ratio: {text}").ratio) == value


def test_a_number_is_not_a_truth_nor_the_other_way_round(tmp_path: Path) -> None:
    assert faults(tmp_path, "some: true", "flag: 0", "level: true", "ratio: false", "share: true") == [
        "2:3 options.some: expected whole number, got true",
        "3:3 options.flag: expected true or false, got 0",
        "4:3 options.level: expected one of 1, 2, got true",
        "5:3 options.ratio: expected decimal, got false",
        "6:3 options.share: expected decimal, got true",
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("some: 0", "must be >= 1, got 0"),
        ("some: 12", "must be <= 10, got 12"),
        ("some: 3", "must be a multiple of 2, got 3"),
        ("some: 2.0", "expected whole number, got 2.0"),
        ("some: 010", "expected whole number, got '010'"),
        ("least: 0", "must be > 0, got 0"),
        ("least: 5.0", "must be < 5, got 5.0"),
        ("word: a", "must have at least 2 characters, got 'a'"),
        ("word: abcde", "must have at most 4 characters, got 'abcde'"),
        ("word: ABC", "must match ^[a-z]+$, got 'ABC'"),
        ("few: []", "must have at least 1 entries, got []"),
        ("few: [a, b, c]", "must have at most 2 entries, got ['a', 'b', 'c']"),
        ("pair: [1]", "expected 2 items, got 1"),
        ("pair: 1", "expected list of whole number, text, got 1"),
        ("names: a", "expected list of text, got 'a'"),
        ("limits: [a]", "expected mapping of text to ratio (50bps, 0.5%), got ['a']"),
        ("either: 5", "expected duration (500ms, 10s, 1m30s) or true or false, got 5"),
        ("level: 3", "expected one of 1, 2, got 3"),
        ("mode: slwo", "expected one of on, slow, 5, got 'slwo'; did you mean 'slow'?"),
        ("program: abc", "a public key has 32 bytes, not 3"),
        ("program: 5", "expected public key (base58), got 5"),
        ("since: yesterday", "Invalid isoformat string: 'yesterday'"),
        ("since: 2026-01-01T00:00:00", "a naive datetime names no instant; give it a timezone"),
        ("strange: 5", "options of type complex cannot be read from YAML: a defect of the probe"),
        ("node: 5", "expected mapping with leaf, leaves, named, key, got a value that is not shown"),
    ],
)
def test_limits_and_shapes(tmp_path: Path, line: str, fault: str) -> None:
    assert faults(tmp_path, line) == [f"2:3 options.{line.partition(':')[0]}: {fault}"]


def test_shapes_that_fit(tmp_path: Path) -> None:
    options = read(
        tmp_path,
        "pair: [1, a]",
        "names: [a, b, a]",
        "either: 5s",
        "level: 2",
        'mode: "on"',
        f'program: "{KEY}"',
        "since: 2026-09-12T10:00:00Z",
        "share: 0.25",
        "anything: {a: [1.5, true]}",
        "region: us",
    )
    assert options.pair == (1, "a")
    assert options.names == frozenset(("a", "b"))
    assert (options.either, options.level, options.mode) == (timedelta(seconds=5), Level.HIGH, "on")
    assert options.program == Pubkey(KEY)
    assert options.since == Instant.parse("2026-09-12T10:00:00Z")
    assert options.share == 0.25
    assert options.anything == {"a": [Decimal("1.5"), True]}
    assert read(tmp_path, "either: yes").either is True


# -- secrets -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "key: sk-literal",
        "key: [sk-literal]",
        "key: !!int sk-literal",
        "keys: sk-literal",
        "keys: {a: sk-literal}",
        "keys: {a: [sk-literal]}",
        "node: sk-literal",
        "node: {leaf: {}, key: sk-literal}",
        "kye: sk-literal",
        "key: 'sk-literal",
    ],
)
def test_no_fault_shows_a_secret(tmp_path: Path, line: str) -> None:
    assert "sk-literal" not in str(faults(tmp_path, line))


def test_types_that_hold_a_secret_are_known_at_any_depth() -> None:
    assert holds_secret(dict[str, list[Secret | None]])
    assert holds_secret(Annotated[Node, 1])
    assert holds_secret(Ring)
    assert not holds_secret(Circle)
    assert not holds_secret(dict[str, timedelta])
