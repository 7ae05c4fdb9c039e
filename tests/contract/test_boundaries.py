"""What import-linter cannot say: one file names each HTTP library, and a check written tomorrow is independent too."""

from __future__ import annotations

import ast
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "probekit"


def imports(path: Path) -> Iterator[str]:
    """Every absolute module a file imports, at any depth; ``from a import b`` gives ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("library", "home"), [("httpx", "transports/httpx.py"), ("pycurl", "transports/curl.py")])
def test_one_file_names_the_library(library: str, home: str) -> None:
    naming = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if any(name.partition(".")[0] == library for name in imports(path))
    }
    assert naming == {home}


def test_no_check_imports_another() -> None:
    names = {path.stem for path in (SOURCE / "checks").glob("*.py")} - {"__init__", "base", "parts"}
    assert names
    for name in names:
        siblings = {f"probekit.checks.{other}" for other in names - {name}}
        assert not siblings & set(imports(SOURCE / "checks" / f"{name}.py")), name


@pytest.mark.parametrize(
    "leave",
    [
        lambda s: s.connect(("192.0.2.1", 9)),
        lambda s: s.connect_ex(("192.0.2.1", 9)),
        lambda s: s.sendto(b"", ("192.0.2.1", 9)),
        lambda _: socket.getaddrinfo("nowhere.invalid", 80),
        lambda _: socket.gethostbyname("nowhere.invalid"),
    ],
)
def test_the_suite_stays_on_loopback(leave: Callable[[socket.socket], object]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one, pytest.raises(OSError, match="leave loopback"):
        leave(one)
