"""YAML as it is read here: merges, aliases, tags and numbers; every document ends in a value or in positioned faults."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import ConfigError
from probekit.manifest import tree
from probekit.manifest.problems import Mark, Problems, show
from probekit.manifest.tree import BROKEN, MAX_VALUES, Tree, parse


def good(text: str) -> Any:
    problems = Problems("m.yaml")
    tree = parse(text, problems)
    assert problems.found == []
    return tree.value


def faults(text: str) -> list[str]:
    problems = Problems("m.yaml")
    parse(text, problems)
    assert problems.found
    return problems.found


# -- merge keys --------------------------------------------------------------------------------------------------------------


def test_a_merge_gives_way_to_the_mappings_own_keys() -> None:
    text = "base: &base {a: 1, b: 2}\nafter: {<<: *base, b: 3}\nbefore: {b: 4, <<: *base}\n"
    assert good(text) == {"base": {"a": 1, "b": 2}, "after": {"a": 1, "b": 3}, "before": {"a": 1, "b": 4}}


def test_of_several_bases_the_first_wins_and_a_base_may_have_bases() -> None:
    text = (
        "one: &one {a: 1}\ntwo: &two {a: 2, b: 2}\nthree: &three {<<: *two, c: 3}\n"
        "all: {<<: [*one, *three], d: 4}\ninline: {<<: {a: 9}, b: 1}\n"
    )
    value = good(text)
    assert value["all"] == {"a": 1, "b": 2, "c": 3, "d": 4}
    assert value["inline"] == {"a": 9, "b": 1}


def test_a_merged_entry_is_placed_where_it_is_written() -> None:
    tree = parse("base: &base\n  a: 1\nuse:\n  <<: *base\n  b: 2\n", Problems("m.yaml"))
    assert (tree.mark(("use", "a")), tree.mark(("use", "b"))) == (Mark(2, 3), Mark(5, 3))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: {<<: 5}", ["m.yaml:1:9 a.<<: << takes a mapping, or a list of mappings"]),
        ("a: {<<: [{b: 1}, 5]}", ["m.yaml:1:18 a.<<: << takes a mapping, or a list of mappings"]),
        ("a: {<<: {}, <<: {}}", ["m.yaml:1:13 a.<<: given twice; write <<: [*one, *other]"]),
        ("a: &a {<<: *a}", ["m.yaml:1:4 a.<<: merges itself"]),
        ("a: {<<: {b: 1, b: 2}}", ["m.yaml:1:16 a.<<.b: given twice"]),
        # The base's fault is told once, however often it is merged.
        ("a: &a {b: 1, b: 2}\nc: {<<: *a}\nd: {<<: *a}", ["m.yaml:1:14 a.b: given twice"]),
    ],
)
def test_wrong_merges_are_placed(text: str, found: list[str]) -> None:
    assert faults(text) == found


def test_a_key_given_twice_is_refused_with_or_without_a_merge() -> None:
    assert faults("a: 1\na: 2") == ["m.yaml:2:1 a: given twice"]
    assert faults("x: &x {a: 1}\ny: {<<: *x, a: 2, a: 3}") == ["m.yaml:2:19 y.a: given twice"]


# -- bounds ------------------------------------------------------------------------------------------------------------------


def list_bomb(levels: int) -> str:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def merge_bomb(levels: int) -> str:
    lines = ["l0: &l0 {a: 1}"]
    lines += [f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 9)}]}}" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize("bomb", [list_bomb(30), merge_bomb(30)], ids=["aliases", "merges"])
def test_an_alias_bomb_is_refused_at_once_and_placed(bomb: str) -> None:
    begun = time.process_time()
    (fault,) = faults(bomb)
    assert time.process_time() - begun < 10
    assert fault.startswith("m.yaml:1:")
    assert fault.endswith(f"more than {MAX_VALUES} values once its aliases are written out")


def test_aliases_within_the_bound_are_read() -> None:
    assert good(list_bomb(3))["l2"][8][8] == ["x"] * 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a [*a]", "m.yaml:1:4 a[0]: contains itself"),
        ("a: &a {b: {c: *a}}", "m.yaml:1:4 a.b.c: contains itself"),
        ("[" * 5000 + "]" * 5000, "nested deeper than 32 levels"),
        ("- " * 5000, "nested deeper than 32 levels"),
        ("{a: " * 5000, "nested deeper than 32 levels"),
        ("l0: &l0 [x]\n" + "\n".join(f"l{n}: &l{n} [*l{n - 1}]" for n in range(1, 50)), "nested deeper than 32 levels"),
        (
            "l0: &l0 {a: 1}\n" + "\n".join(f"l{n}: &l{n} {{<<: *l{n - 1}}}" for n in range(1, 50)),
            "nested deeper than 32 levels",
        ),
        # The test below reaches its line by less, and to count them all takes longer than the test.
        pytest.param("[" + "x," * (MAX_VALUES + 1) + "]", f"more than {MAX_VALUES} values", marks=pytest.mark.no_cover),
    ],
    ids=["list", "mapping", "brackets", "dashes", "braces", "chain", "merge-chain", "many"],
)
def test_depth_number_and_circles_are_bounded(text: str, words: str) -> None:
    first = faults(text)[0]
    assert words in first
    assert first.startswith("m.yaml:")


def test_values_are_counted_as_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_VALUES", 10)
    assert good("[1, 2, 3, 4, 5, 6, 7, 8]") == [1, 2, 3, 4, 5, 6, 7, 8]
    assert "more than 10 values" in faults("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]")[0]


# -- tags and scalars --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["bool", "int", "float", "null"])
def test_a_tag_that_does_not_fit_is_a_fault_of_its_key(tag: str) -> None:
    assert faults(f"a:\n  b: !!{tag} abc\nc: 1") == [f"m.yaml:2:6 a.b: the value does not fit its tag !!{tag}"]


@pytest.mark.parametrize("text", ["!!int ''", "!!float ''", "!!bool ''", "!!int 1.5", "!!bool 2", "!!int 0x", "!!float 1:30"])
def test_more_tags_that_do_not_fit(text: str) -> None:
    assert faults(f"k: {text}")[0].startswith("m.yaml:1:4 k: the value does not fit its tag !!")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("!!timestamp 2026-01-01", "!!timestamp"),
        ("!!timestamp x", "!!timestamp"),
        ("!!binary é", "!!binary"),
        ("!!set {a, b}", "!!set"),
        ("!!omap [a: 1]", "!!omap"),
        ("!!map x", "!!map"),
        ("!!map [a]", "!!map"),
        ("!!seq {a: 1}", "!!seq"),
        ("!!str {a: b}", "!!str"),
        ("!!str [a]", "!!str"),
        ("!own x", "'!own'"),
        ("!!python/object/apply:os.system [id]", "!!python/object/apply:os.system"),
    ],
)
def test_a_tag_that_has_no_place_is_named(text: str, shown: str) -> None:
    assert faults(f"k: {text}") == [f"m.yaml:1:4 k: not YAML as it is used here: the tag {shown}"]


def test_tags_that_fit() -> None:
    read = good("[!!int 5, !!int '5', !!float 5, !!bool yes, !!str 5, !!null ~]")
    assert read == [5, 5, Decimal(5), True, "5", None]


def test_a_fault_shows_no_value_since_it_may_be_a_secret() -> None:
    assert "sk-literal" not in str(
        faults("options: {api_key: !!int sk-literal, other: !!bool sk-literal, x: !!binary sk-literal}")
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("-0x1F", -31),
        ("0b101", 5),
        ("1_000", 1000),
        ("1.10", Decimal("1.10")),
        ("0.1000000000000000000000001", Decimal("0.1000000000000000000000001")),
        ("-.5", Decimal("-0.5")),
        ("1.5e+3", Decimal("1.5e+3")),
        # Silent rewriting is what these are kept from.
        ("010", "010"),
        ("0o17", "0o17"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("2026-01-01", "2026-01-01"),
        ("2026-13-45", "2026-13-45"),
        ("e62df6c8", "e62df6c8"),
        ("=", "="),
        ("true", True),
        ("off", False),
        ("'true'", "true"),
        ("~", None),
    ],
)
def test_plain_scalars(text: str, value: Any) -> None:
    read = good(f"k: {text}")["k"]
    assert (read, type(read)) == (value, type(value))
    if isinstance(value, Decimal):
        assert str(read) == str(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.inf", "+.Inf"])
def test_no_number_that_is_none(text: str) -> None:
    assert faults(f"a: 1\nk: {text}") == ["m.yaml:2:4 k: not a finite number; if it is text, quote it"]


def test_numbers_of_absurd_length_are_refused_unread() -> None:
    assert faults("k: " + "9" * 5000) == ["m.yaml:1:4 k: a number of 5000 characters; if it is text, quote it"]
    assert faults("k: 0x_") == ["m.yaml:1:4 k: not a number that can be read; if it is text, quote it"]
    assert faults("k: 1.0e+9999999999999999999999") == ["m.yaml:1:4 k: not a number that can be read; if it is text, quote it"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1: x", "m.yaml:1:1 the key 1 is not text; quote it"),
        ("a: {0xAB: x}", "m.yaml:1:5 a: the key 0xAB is not text; quote it"),
        ("on: x", "m.yaml:1:1 the key on is not text; quote it"),
        ("? [a]\n: x", "m.yaml:1:3 a sequence cannot be a key"),
        ("!!bool abc: x", "m.yaml:1:1 the key abc is not text; quote it"),
        (r'"\ud800": x', r"m.yaml:1:1 the key '\ud800' holds half a character"),
        (r'a: "\ud800"', "m.yaml:1:4 a: text that holds half a character"),
    ],
)
def test_keys_are_text_and_text_is_unicode(text: str, found: str) -> None:
    assert faults(text) == [found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\nb: [1", "m.yaml:2:6 not YAML: "),
        ("a: 1\n\tb: 2", "m.yaml:2:1 not YAML: "),
        ("a: *b", "m.yaml:1:4 not YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2", "m.yaml:2:1 not YAML: but found another document"),
        ("a: 1\nb: \x07", "m.yaml:2:4 not YAML: the character U+0007 is not allowed"),
        ('a: 1\nb: "\\UFFFFFFFF"', "m.yaml:2:"),
        ('a: "\\U00110000"', "m.yaml:1:"),
        ("%YAML " + "9" * 5000 + ".1\n---\na: 1", "m.yaml:1:"),
        ("a: @b", "m.yaml:1:4 not YAML: "),
    ],
)
def test_what_is_no_yaml_is_placed(text: str, found: str) -> None:
    (fault,) = faults(text)
    assert fault.startswith(found)
    assert parse(text, Problems("m.yaml")).value is BROKEN


def test_a_byte_order_mark_and_an_empty_text_are_read() -> None:
    assert good("\ufeffa: 1") == {"a": 1}
    assert good("") is None
    assert good("# nothing\n") is None


def test_what_can_be_read_is_read_beside_what_cannot() -> None:
    problems = Problems("m.yaml")
    tree = parse("a: !!int x\nb: [1, .nan, 3]\nc: 4\nc: 5", problems)
    assert len(problems) == 3
    assert tree.value["a"] is BROKEN
    assert tree.value["b"] == [1, BROKEN, 3]
    assert tree.value["c"] == 4


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text("abc é0:-", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcé", min_size=1, max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(plain)
def test_what_is_written_as_yaml_is_read_back(value: Any) -> None:
    import yaml

    # PyYAML quotes what its own rules would take for a date or a number in base 60, which changes nothing here.
    assert good(yaml.safe_dump(value, allow_unicode=True)) == value


@given(st.text(st.sampled_from("ab01x: -[]{}&*<!'\"|>?,#%@`~\n\t.\\_e"), max_size=60))
def test_any_text_is_a_value_or_faults_each_of_one_line(text: str) -> None:
    problems = Problems("m.yaml")
    tree = parse(text, problems)
    assert isinstance(tree, Tree)
    assert tree.value is not BROKEN or problems.found
    for fault in problems.found:
        assert fault.startswith("m.yaml:")
        assert fault.isprintable()


# -- problems ----------------------------------------------------------------------------------------------------------------


def test_faults_come_in_the_files_order_once_each_and_on_one_line() -> None:
    problems = Problems("m.yaml")
    problems.add(None, ("z",), "last")
    problems.add(Mark(10, 1), ("b",), "second")
    problems.add(Mark(2, 9), ("a\n\x1b[31m",), "first")
    problems.add(Mark(10, 1), ("b",), "second")
    problems.add(Mark(1, 1, "--set k"), ("options", "k"), "of a flag")
    assert problems.found == [
        "m.yaml:2:9 a\\n\\x1b[31m: first",
        "m.yaml:10:1 b: second",
        "m.yaml z: last",
        "--set k options.k: of a flag",
    ]


def test_of_very_many_faults_the_message_shows_the_first_and_counts_the_rest() -> None:
    problems = Problems("m.yaml")
    for line in range(1, 2001):
        problems.add(Mark(line, 1), (), "wrong")
    with pytest.raises(ConfigError) as caught:
        problems.refuse()
    assert len(caught.value.problems) == 2000
    assert len(caught.value.message.splitlines()) == 51
    assert caught.value.message.endswith("m.yaml: and 1950 more")


def test_a_sentence_and_a_path_are_bounded() -> None:
    problems = Problems("m.yaml")
    problems.add(Mark(1, 1), ("k" * 5000,), "x" * 5000)
    assert len(problems.found[0]) < 1300
    assert show(("options", "feeds", 2, "id")) == "options.feeds[2].id"
