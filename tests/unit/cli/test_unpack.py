"""``probekit unpack``: bytecode for what an executable unpacked, and a sentence where it cannot be written."""

from __future__ import annotations

import importlib.util
import py_compile
import site
import sys
from pathlib import Path

import pytest

from probekit.cli.main import main
from probekit.cli.unpack import compile_all


def bytecode(source: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(source)))


def test_packages_are_compiled_through_the_links_an_executable_makes(tmp_path: Path) -> None:
    wheel = tmp_path / "wheels" / "one"
    (wheel / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/deep.py"):
        (wheel / name).write_text("x = 1\n")
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "one").symlink_to(wheel)
    (packages / "two.py").write_text("y = 2\n")
    (packages / "two.dist-info").mkdir()
    (packages / "data.txt").write_text("not Python")
    assert sum(compile_all(entry) for entry in packages.iterdir()) == 3
    assert bytecode(wheel / "inner" / "deep.py").is_file()
    assert bytecode(packages / "two.py").is_file()


def test_a_file_of_another_python_is_left_and_its_neighbours_are_compiled(tmp_path: Path) -> None:
    (tmp_path / "template.py").write_text("print 'two'\n")
    (tmp_path / "zz.py").write_text("z = 3\n")
    assert compile_all(tmp_path) == 1


def test_the_command_says_where_and_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.py").write_text("x = 1\n")
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(tmp_path), str(tmp_path / "absent")])
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    (prefix / "__main__.py").write_text("")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    assert main(["unpack"]) == 0
    assert capsys.readouterr().out == f"{prefix}: 3 files compiled\n"
    assert bytecode(prefix / "__main__.py").is_file()


def test_a_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.py").write_text("x = 1\n")
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(tmp_path)])

    def refused(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(py_compile, "compile", refused)
    assert main(["unpack"]) == 3
    assert f"{tmp_path}: bytecode cannot be written: Permission denied" in capsys.readouterr().err


def test_the_link_leads_to_the_installation_and_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(site, "getsitepackages", list)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(sys, "prefix", str(tmp_path / name))
        assert main(["unpack", "--link", str(tmp_path / "link")]) == 0
        assert (tmp_path / "link").resolve() == tmp_path / name
    assert main(["unpack", "--link", str(tmp_path / "absent" / "link")]) == 3
    assert "cannot be made a link: No such file or directory" in capsys.readouterr().err
