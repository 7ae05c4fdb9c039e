"""The file as a whole: all its faults at once, each placed; what cannot be read; flags on top; any options at all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import ConfigError
from probekit.manifest import read_manifest
from probekit.manifest.options import type_text, value_text
from probekit.manifest.read import MAX_BYTES
from probekit.model.pubkey import Pubkey
from probekit.units import Bps, ByteSize, format_ns, to_ns
from tests.unit.manifest.shapes import ID, PROBE, Leaf, Level, Opts, load

# -- all faults --------------------------------------------------------------------------------------------------------------


def test_every_fault_of_a_field_of_a_file_and_of_the_document_is_told_at_once(tmp_path: Path) -> None:
    text = """\
name: [a]
interval: 0s
deadline: 5
vantage: {region: 1, host: "", unit: "a\\nb"}
connectivity: ["a:0", ":53", "http://a:5", "a b:1", "a:65536", 5, "[::1]:53"]
options:
  feeds: [1, ok, 2]
  ids: [12, nope]
  some: !!int x
  ratio: .nan
  ratio: 1
  flag: 1
  nope: null
"""
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    found = [one.replace(f"{path}:", "") for one in caught.value.problems]
    assert found == [
        "1:1 name: expected text, got ['a']",
        "2:1 interval: must be positive",
        "3:1 deadline: 5 has no unit; write a duration as 500ms, 10s or 1m30s",
        '4:11 vantage.region: YAML reads 1 as a number, and this is text; quote it: "1"',
        "4:22 vantage.host: expected text of 1 to 255 printable characters, got ''",
        r"4:32 vantage.unit: expected text of 1 to 255 printable characters, got 'a\nb'",
        "5:16 connectivity[0]: 'a:0' is not host:port",
        "5:23 connectivity[1]: ':53' is not host:port",
        "5:30 connectivity[2]: 'http://a:5' is not host:port",
        "5:44 connectivity[3]: 'a b:1' is not host:port",
        "5:53 connectivity[4]: 'a:65536' is not host:port",
        '5:64 connectivity[5]: YAML reads 5 as a number, and this is text; quote it: "5"',
        '7:11 options.feeds[0]: YAML reads 1 as a number, and this is text; quote it: "1"',
        '7:18 options.feeds[2]: YAML reads 2 as a number, and this is text; quote it: "2"',
        "8:9 options.ids[0]: expected feed id (64 hex digits), got 12",
        "8:13 options.ids[1]: 'nope' is not a feed id: 64 hex digits, with or without 0x",
        "9:9 options.some: the value does not fit its tag !!int",
        "10:10 options.ratio: not a finite number; if it is text, quote it",
        "11:3 options.ratio: given twice",
        "12:3 options.flag: expected true or false, got 1",
        "13:3 options.nope: unknown key; did you mean 'node'?",
    ]
    assert caught.value.message.splitlines() == list(caught.value.problems)


def test_a_faulty_duration_is_not_compared_with_a_default_nobody_wrote(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "interval: soon\ndeadline: 20s\n")
    assert len(caught.value.problems) == 1


# -- the file ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"probe: p\nname: a\xffb", "p.yaml:2:8 not UTF-8: the byte 0xff"),
        ("probe: p".encode("utf-16"), "p.yaml:1:1 not UTF-8: the byte 0xff"),
        (b"probe: p\nname: \x00", "p.yaml:2:7 not YAML: the character U+0000 is not allowed"),
        (b"#" * (MAX_BYTES + 1), f"p.yaml: more than {MAX_BYTES} bytes: no manifest"),
        (b"just text", "p.yaml:1:1 expected a mapping with probe, name, interval"),
    ],
)
def test_a_file_that_is_no_manifest_is_placed(tmp_path: Path, data: bytes, fault: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_manifest(PROBE, path)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].replace(f"{tmp_path}/", "").startswith(fault)


def test_what_cannot_be_read_at_all(tmp_path: Path) -> None:
    circle = tmp_path / "circle.yaml"
    circle.symlink_to(circle)
    for path, words in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none.yaml", "No such file or directory"),
        (circle, "Too many levels of symbolic links"),
        (Path("a\0b"), "embedded null byte"),
        (Path("/dev/zero"), "bytes: no manifest"),
    ):
        with pytest.raises(ConfigError) as caught:
            read_manifest(PROBE, path)
        assert words in caught.value.message
        assert caught.value.message.isprintable()


def test_keys_whose_lines_are_all_comments_are_not_there(tmp_path: Path) -> None:
    manifest = load(tmp_path, "probe:\nname:\ninterval:\ndeadline:\nvantage:\nconnectivity:\noptions:\n  # feeds: []\n")
    assert manifest.name == "p"
    assert (manifest.interval, manifest.vantage, manifest.connectivity) == (PROBE.interval, {}, ())
    with pytest.raises(ConfigError, match="intervall: unknown key; did you mean 'interval'"):
        load(tmp_path, "intervall:\n")


def test_a_windows_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(b"\xef\xbb\xbfprobe: p\r\noptions:\r\n  region: us\r\n")
    assert read_manifest(PROBE, path).options.region == "us"


def test_merged_options_keep_the_line_they_came_from(tmp_path: Path) -> None:
    manifest = load(
        tmp_path,
        "options:\n  node:\n    leaf: &young\n      age: 1s\n      size: 2kB\n"
        "    leaves:\n      - <<: *young\n        size: 3kB\n",
    )
    assert manifest.options.node is not None
    assert manifest.options.node.leaves == (Leaf(timedelta(seconds=1), size=ByteSize(3000)),)
    with pytest.raises(ConfigError, match=r"p\.yaml:4:7 options\.node\.leaves\[0\]\.age: 1 has no unit"):
        load(
            tmp_path,
            "options:\n  node:\n    leaf: &young\n      age: 1\n    leaves:\n      - <<: *young\n        size: 3kB\n",
        )


# -- flags -------------------------------------------------------------------------------------------------------------------


def test_a_fault_of_a_flag_names_the_flag_and_not_the_line_it_replaces(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "options:\n  feeds: [1, 2]\n  region: 5\n", feeds="[a, 3]", few="[", key="")
    assert [one.replace(f"{tmp_path}/", "") for one in caught.value.problems] == [
        'p.yaml:3:3 options.region: YAML reads 5 as a number, and this is text; quote it: "5"',
        "--set few options.few: not YAML: expected the node content, but found '<stream end>'",
        '--set feeds options.feeds[1]: YAML reads 3 as a number, and this is text; quote it: "3"',
    ]


def test_an_empty_flag_is_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, "options: {program: abc}", program="").options.program is None
    with pytest.raises(ConfigError, match=r"--set feeds options\.feeds: expected list of text, got nothing"):
        load(tmp_path, "", feeds="")


# -- any value ---------------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.sampled_from(
        ["1s", "5", "5.5", "0.5%", "64kB", "a", "true", "null", "'5'", ".inf", f"0x{ID}", ID, "!!int x", "env:NOPE"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(["leaf", "age", "size", "a", "5"]), inner, max_size=3).map(
            lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*Opts.__struct_fields__, "nope"]), values, max_size=6))
def test_any_options_are_read_or_every_fault_is_placed(
    tmp_path_factory: pytest.TempPathFactory, given_options: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text("options:\n" + "".join(f"  {key}: {value}\n" for key, value in given_options.items()))
    try:
        options = read_manifest(PROBE, path).options
    except ConfigError as error:
        assert error.problems
        for fault in error.problems:
            assert fault.startswith(f"{path}:")
            assert fault.isprintable()
    else:
        assert isinstance(options, Opts)


@given(st.integers(1, 10**12).map(lambda us: timedelta(microseconds=us)))
def test_durations_pass_a_nested_option_whole(tmp_path_factory: pytest.TempPathFactory, age: timedelta) -> None:
    path = tmp_path_factory.getbasetemp() / "age.yaml"
    path.write_text(f"options: {{ages: [{to_ns(age) // 1000}us]}}")
    assert read_manifest(PROBE, path).options.ages == (age,)
    assert format_ns(to_ns(age))


def test_values_are_shown_as_they_are_written() -> None:
    assert value_text(Level.HIGH) == "2"
    assert type_text(tuple[int, str]) == "list of whole number, text"
    assert type_text(Mapping[str, Bps]) == "mapping of text to ratio (50bps, 0.5%)"
    assert type_text(Pubkey) == "public key (base58)"
