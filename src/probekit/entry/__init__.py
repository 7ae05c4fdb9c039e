"""One probe from the command line: arguments, output, exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probekit.entry.command import main, run_found

__all__ = ["main", "run_found"]


def __getattr__(name: str) -> Any:
    # Late, so that the guard around a command stands before anything slow is imported: SIGINT comes then, too.
    if name not in __all__:
        raise AttributeError(f"module 'probekit.entry' has no attribute {name!r}")
    from probekit.entry import command

    return getattr(command, name)
