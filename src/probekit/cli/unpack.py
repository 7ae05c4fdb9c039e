"""``probekit unpack``: the first start of an executable, made before anything waits for it.

By the time this runs the executable has unpacked itself; what is left is bytecode. A service that may not write to its release
would compile every module again at every start.
"""

from __future__ import annotations

import site
import sys
from collections.abc import Sequence
from pathlib import Path

from probekit.entry.command import Parser, filled
from probekit.entry.streams import emit
from probekit.errors import ConfigError


def main(argv: Sequence[str]) -> int:
    """Compile every module of this installation and print where it stands.

    Raises ``ConfigError`` where a folder cannot be written. A module that is no Python of this version is left as it is.
    """
    parser = Parser(
        prog="probekit unpack",
        description="Compile every module of this installation, so that later starts only read it.",
    )
    parser.add_argument(
        "--link",
        metavar="FILE",
        type=filled,
        help="make FILE a link to this installation; launchers beside the executable look for unpacked/<executable>",
    )
    arguments = parser.parse_args(argv)
    folders = [Path(one) for one in site.getsitepackages() if Path(one).is_dir()]
    # An executable's own start is a module at the root of what it unpacked.
    compiled = sum(compile_all(entry) for folder in folders for entry in sorted(folder.iterdir()))
    compiled += sum(compile_all(source) for source in sorted(Path(sys.prefix).glob("*.py")))
    if arguments.link:
        _link(Path(arguments.link))
    emit(f"{sys.prefix}: {compiled} files compiled\n")
    return 0


def _link(link: Path) -> None:
    """Last of all: what the link leads to is complete."""
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(sys.prefix)
    except OSError as error:
        raise ConfigError(f"{link}: cannot be made a link: {error.strerror}") from None


def compile_all(entry: Path) -> int:
    """Compile a module or everything in a package, the link to it followed; returns how many files have bytecode now."""
    import py_compile

    # An executable's packages are links into the wheels it unpacked; compileall follows none.
    real = entry.resolve()
    done = 0
    for source in sorted(real.rglob("*.py")) if real.is_dir() else [real] if real.suffix == ".py" else []:
        try:
            done += py_compile.compile(str(source), doraise=True, quiet=1) is not None
        except py_compile.PyCompileError:
            continue
        except OSError as error:
            raise ConfigError(f"{source.parent}: bytecode cannot be written: {error.strerror}") from None
    return done
