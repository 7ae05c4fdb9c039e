"""Probe files that are broken, ambiguous or not there: one sentence each, with the file and the line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from probekit.errors import ConfigError
from probekit.manifest.discovery import Found, find_probe, list_probes, load_probe, search_path, source_digest

GOOD = '''"""Is it so?"""
import probekit as pk


class Options(pk.Options, frozen=True, kw_only=True):
    count: int = 1


async def targets(ctx):
    return []


async def observe(ctx, targets):
    return
    yield


probe = pk.Probe.poll(
    name="good", question="Is it so?", options=Options, targets=targets, observe=observe, checks=lambda options, target: []
)
'''


def put(folder: Path, name: str, text: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('"""Q?"""\ndef (\n', ":2", "SyntaxError: invalid syntax"),
        ('"""Q?"""\n\n1 / 0\n', ":3", "ZeroDivisionError: division by zero"),
        ('"""Q?"""\nimport no_such_module_at_all\n', ":2", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ('"""Q?"""\nfrom probekit import Nonsense\n', ":2", "ImportError: cannot import name 'Nonsense'"),
        ('"""Q?"""\nraise SystemExit(0)\n', ":2", "it ends the program; put what it runs under if __name__ == '__main__'"),
        ('"""Q?"""\nraise RuntimeError("two\\nlines")\n', ":2", "RuntimeError: two"),
        ("x = 1\n" + GOOD.replace('"good"', '"not good"'), ":19", "'not good' is not a probe's name"),
        (b"\xff\xfe", ":1", "SyntaxError: (unicode error)"),
        (b"x = 1\0", "", "source code string cannot contain null bytes"),
        ("def f(): return f()\nf()\n", ":1", "RecursionError"),
        ("x = 1\n", " defines no probe", "a module-level 'probe = pk.Probe...'"),
        (GOOD.replace("probe = pk.Probe", "prob = pk.Probe"), " defines no probe", "'prob' is one: name it 'probe'"),
        ("probe = 5\n", " defines no probe", "a module-level"),
    ],
)
def test_a_broken_probe_file_is_named_with_its_line(tmp_path: Path, text: str | bytes, place: str, words: str) -> None:
    path = put(tmp_path, "broken.py", text)
    before = set(sys.modules)
    with pytest.raises(ConfigError) as caught:
        load_probe(find_probe(str(path), ()))
    assert caught.value.message.startswith(f"{path}{place}")
    assert words in caught.value.message
    if "defines no probe" not in place:
        assert "probekit_probe_broken" not in set(sys.modules) - before


def test_a_file_that_fails_does_not_displace_one_that_was_loaded(tmp_path: Path) -> None:
    loaded = load_probe(find_probe(str(put(tmp_path / "a", "twice.py", GOOD)), ()))
    module = sys.modules["probekit_probe_twice"]
    with pytest.raises(ConfigError):
        load_probe(find_probe(str(put(tmp_path / "b", "twice.py", "1/0")), ()))
    assert sys.modules["probekit_probe_twice"] is module
    assert loaded.name == "good"


def test_what_is_no_probe_file_says_what_it_is(tmp_path: Path) -> None:
    put(tmp_path, "watching.py", GOOD)
    (tmp_path / "folder.py").mkdir()
    for name, words in (
        (str(tmp_path), "is a folder, not a probe's file; --probe-path takes folders"),
        (str(tmp_path / "folder.py"), "is a folder"),
        (str(tmp_path / "watchin.py"), "nearest: watching.py"),
        (str(tmp_path / "none" / "x.py"), "nearest: none"),
        ("none.py", "there is no probe file none.py"),
    ):
        with pytest.raises(ConfigError) as caught:
            find_probe(name, ())
        assert words in caught.value.message
    notes = put(tmp_path, "notes.txt", "x")
    with pytest.raises(ConfigError, match=r"notes\.txt is not a Python file"):
        load_probe(find_probe(str(notes), ()))


def test_folders_that_cannot_be_searched_are_named(tmp_path: Path) -> None:
    file = put(tmp_path, "file", "")
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    for folder, words in (
        (tmp_path / "none", "No such file or directory"),
        (file, "Not a directory"),
        (circle, "Too many levels of symbolic links"),
        (Path("a\0b"), "embedded null"),
    ):
        with pytest.raises(ConfigError) as caught:
            list_probes([folder])
        assert caught.value.message.startswith("the probe folder ")
        assert words in caught.value.message


def test_one_file_seen_twice_is_one_probe(tmp_path: Path) -> None:
    put(tmp_path / "a", "x.py", GOOD)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "y.py").mkdir()
    (tmp_path / "a" / ".hidden.py").write_text("")
    listed = list_probes([tmp_path / "a", tmp_path / "a", tmp_path / "link"])
    assert [one.name for one in listed] == ["x"]


def test_an_empty_search_variable_means_the_catalogue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usual = search_path()
    monkeypatch.setenv("PROBEKIT_PROBE_PATH", ":")
    assert search_path() == usual
    monkeypatch.setenv("PROBEKIT_PROBE_PATH", f"{tmp_path}:")
    assert search_path() == (tmp_path,)
    assert search_path(["x"]) == (Path("x"),)


@pytest.mark.parametrize("text", [b"\xff", b"x = (", b"\0", b"x" + b"(" * 100_000, b"'\\d'\n"])
def test_a_listing_survives_any_file(tmp_path: Path, text: bytes) -> None:
    put(tmp_path, "odd.py", text)
    ((name, question),) = [(one.name, one.question) for one in list_probes([tmp_path])]
    assert name == "odd"
    assert question in ("(does not parse)", "\\d")


def test_a_manifest_beside_that_is_none_is_not_passed_over(tmp_path: Path) -> None:
    path = put(tmp_path, "x.py", GOOD)
    found = Found("x", path, "")
    assert found.manifest is None
    beside = tmp_path / "x.yaml"
    beside.symlink_to(tmp_path / "gone.yaml")
    assert found.manifest == beside


def test_a_digest_of_no_file_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="<stdin>: the probe's file cannot be read: No such file"):
        source_digest(Path("<stdin>"))
