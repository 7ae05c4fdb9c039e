"""What a missing extra's sentence tells people to install: packages that exist in our metadata, and never a name of ours."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from probekit.errors import ConfigError
from probekit.errors.extras import missing_extra, packages_of

ROOT = Path(__file__).resolve().parents[2]
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def declared(extra: str) -> set[Requirement]:
    """The packages of ``extra`` by pyproject.toml, extras of ours followed."""
    found: set[Requirement] = set()
    for line in EXTRAS[extra]:
        requirement = Requirement(line)
        if requirement.name != "probekit":
            found.add(requirement)
        for nested in requirement.extras if requirement.name == "probekit" else ():
            found |= declared(nested)
    return found


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_each_extras_sentence_is_installable_text(extra: str) -> None:
    error = missing_extra("this needs that", extra)
    assert isinstance(error, ConfigError)
    what, _, command = error.message.partition(": ")
    assert what == "this needs that"
    words = shlex.split(command)
    assert words[:2] == ["pip", "install"]
    assert {Requirement(word) for word in words[2:]} == declared(extra)


def test_several_extras_are_one_command() -> None:
    assert {Requirement(text) for text in packages_of("dev", "ws")} == declared("dev") | declared("ws")


def test_the_sentence_of_the_measuring_engine() -> None:
    assert str(missing_extra("the measuring engine needs pycurl", "measure")) == (
        "the measuring engine needs pycurl: pip install 'pycurl>=7.45.3'"
    )


def test_metadata_of_other_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other build tools keep nested extras, parentheses and name spellings; circles end."""
    lines = [
        "base>=1",
        'probekit[b_c,a]; extra == "a"',
        "one>=1,<2 ; (sys_platform != 'win32' and python_version >= '3.11') and extra == 'b-c'",
        "two ; extra=='b-c'",
        "three; extra == 'other'",
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    one = 'one>=1,<2; sys_platform != "win32" and python_version >= "3.11"'
    assert packages_of("a") == (one, "two")
    assert shlex.split(str(missing_extra("x", "a"))) == ["x:", "pip", "install", one, "two"]


@pytest.mark.parametrize("lines", [None, [], "absent"])
def test_without_metadata_it_names_the_extra(monkeypatch: pytest.MonkeyPatch, lines: Any) -> None:
    def requires(name: str) -> list[str] | None:
        if lines == "absent":
            raise importlib.metadata.PackageNotFoundError(name)
        return lines  # type: ignore[no-any-return]

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert str(missing_extra("it needs pycurl", "measure")) == "it needs pycurl: install it with the extra measure"


def test_nothing_tells_people_to_install_the_other_project() -> None:
    pattern = re.compile(r"""(pip|uv|pipx|uvx)\s[^\n]*(?<![\w./-])["']?probekit\b(?!\.|/)|\bprobekit\[[\w,{-]""")
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for folder in ("src", "docs", "probes", ".")
        for path in ((ROOT / folder).rglob("*") if folder != "." else ROOT.glob("*.md"))
        if path.suffix in {".py", ".md", ".yaml"} and "__pycache__" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "missing", "sentence"),
    [
        ("probekit.transports.curl", "pycurl", "the measuring engine needs pycurl: pip install 'pycurl"),
        (
            "probekit.transports.websocket",
            "websockets.asyncio.client",
            "subscriptions need websockets: pip install 'websockets",
        ),
        ("probekit.clients.web3_pool", "web3", "AsyncWeb3 needs web3: pip install 'web3"),
    ],
)
def test_modules_of_an_extra_say_so_on_import(
    monkeypatch: pytest.MonkeyPatch, module: str, missing: str, sentence: str
) -> None:
    import importlib

    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        importlib.import_module(module)
