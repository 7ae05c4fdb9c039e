"""Where the real EVM node is looked for. What it does is proven in ``tests/system/evm``."""

from __future__ import annotations

from pathlib import Path

import pytest

from probekit.dev import anvil
from probekit.dev.anvil import find_anvil
from probekit.errors import ConfigError


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without it; the working directory."""
    monkeypatch.delenv("PROBEKIT_ANVIL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(anvil, "__file__", str(tmp_path / "checkout" / "src" / "probekit" / "dev" / "anvil.py"))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def installed(root: Path) -> Path:
    return root / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"


def test_a_machine_without_it_is_told_how_to_get_it(nothing: Path) -> None:
    with pytest.raises(ConfigError, match="make node-evm"):
        find_anvil()


def test_the_one_that_is_named_comes_first_then_the_checkout_then_path(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = program(nothing / "bin" / "anvil")
    assert find_anvil() == on_path
    here = program(installed(nothing / "build" / "node-evm"))
    assert find_anvil() == here
    checkout = program(installed(nothing / "checkout" / "build" / "node-evm"))
    assert find_anvil() == checkout
    named = program(nothing / "elsewhere" / "anvil")
    monkeypatch.setenv("PROBEKIT_ANVIL", str(named))
    assert find_anvil() == named


def test_a_name_that_is_no_program_is_not_passed_over(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(nothing / "bin" / "anvil")
    for wrong in (nothing, nothing / "none"):
        monkeypatch.setenv("PROBEKIT_ANVIL", str(wrong))
        with pytest.raises(ConfigError, match="is not a program"):
            find_anvil()


def test_npms_wrapper_leads_to_the_program_it_starts(nothing: Path) -> None:
    wrapper = program(nothing / "global" / "node_modules" / "@foundry-rs" / "anvil" / "bin.mjs")
    (nothing / "bin").mkdir()
    (nothing / "bin" / "anvil").symlink_to(wrapper)
    with pytest.raises(ConfigError, match="npm's wrapper"):
        find_anvil()
    behind = program(installed(nothing / "global"))
    assert find_anvil() == behind


@pytest.mark.parametrize(
    ("system", "machine", "folder"),
    [
        ("darwin", "arm64", "anvil-darwin-arm64/bin/anvil"),
        ("linux", "aarch64", "anvil-linux-arm64/bin/anvil"),
        ("win32", "AMD64", "anvil-win32-amd64/bin/anvil.exe"),
    ],
)
def test_each_platform_has_a_package(system: str, machine: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert anvil._platform_program() == Path(folder)
