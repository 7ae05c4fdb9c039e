"""Where the system tests take the Collector from, in order; and in which words they do without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.otel.collector import NAME, Unavailable, cache_path, find


def program(path: Path, text: str = "exit 1") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has nothing: neither a collector nor Go, nor a cache. Its PATH is the folder ``bin``."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("PROBEKIT_COLLECTOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_variable_goes_before_path_and_path_before_the_cache(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = program(machine / "bin" / "go", "echo go1.99")
    cached = program(cache_path(str(go)))
    assert find(build=False).path == cached
    for name in ("otelcol", NAME):
        found = program(machine / "bin" / name)
        assert find(build=False).path == found
    named = program(machine / "elsewhere")
    monkeypatch.setenv("PROBEKIT_COLLECTOR", str(named))
    assert find(build=False).path == named
    monkeypatch.setenv("PROBEKIT_COLLECTOR", str(machine / "nothing"))
    with pytest.raises(Unavailable, match="is not a program"):
        find(build=False)


def test_another_go_or_recipe_has_a_cache_of_its_own(machine: Path) -> None:
    go = program(machine / "bin" / "go", "echo go1.99")
    before = cache_path(str(go))
    program(go, "echo go1.100")
    assert cache_path(str(go)) != before
    with pytest.raises(Unavailable, match="building was not asked for"):
        find(build=False)


def test_a_build_that_fails_is_told_and_leaves_nothing_in_the_cache(machine: Path) -> None:
    go = program(machine / "bin" / "go", 'if [ "$1" = env ]; then echo go1.99; else echo "no such module" >&2; exit 1; fi')
    with pytest.raises(Unavailable, match="the collector does not build: no such module"):
        find()
    assert list(cache_path(str(go)).parent.iterdir()) == []


def test_without_go_it_is_refused_in_ci_and_elsewhere_another_receiver_may_stand_in(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        assert find().kind == "rotel"
    except Unavailable as problem:
        assert "no Go to build it" in str(problem) or "without its agent" in str(problem)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(Unavailable, match="set PROBEKIT_COLLECTOR, put otelcol-probekit on PATH, or install Go"):
        find()
