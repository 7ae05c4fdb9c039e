"""The sentence for an extra that is not installed: which packages mend it, by our own metadata.

It names packages and never probekit itself: that name on PyPI is another project's.
"""

from __future__ import annotations

import re
from typing import Final

from probekit.errors.base import ConfigError

_OF_EXTRA: Final = re.compile(r"extra\s*==\s*[\"']([^\"']+)[\"']")
_NESTED: Final = re.compile(r"probekit\s*\[([^\]]+)\]", re.IGNORECASE)


def missing_extra(what: str, *extras: str) -> ConfigError:
    """The error to raise where ``what`` ("the measuring engine needs pycurl") lacks the packages of ``extras``.

    ::

        the measuring engine needs pycurl: pip install 'pycurl>=7.45.3'
    """
    packages = packages_of(*extras)
    if not packages:
        # Run from a folder that was never installed: there is no metadata to read.
        return ConfigError(f"{what}: install it with the extra {', '.join(extras)}")
    # A requirement holds no single quote: markers are written with double ones.
    words = " ".join(f"'{package}'" for package in packages)
    return ConfigError(f"{what}: pip install {words}")


def packages_of(*extras: str) -> tuple[str, ...]:
    """What pip is to be given for ``extras``, sorted: requirements with the markers that pip itself has to judge.

    Extras of ours among them are followed to their packages. Empty where probekit's metadata is not to be found.
    """
    import importlib.metadata  # 10 ms that only a failure has to pay

    try:
        lines = importlib.metadata.requires("probekit") or []
    except importlib.metadata.PackageNotFoundError:
        return ()
    found: set[str] = set()
    wanted, seen = list(extras), set[str]()
    while wanted:
        extra = wanted.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for line in lines:
            requirement, _, marker = line.partition(";")
            # hatchling writes the extra last: "(other) and extra == 'name'".
            match = _OF_EXTRA.search(marker)
            if match is None or _canonical(match[1]) != _canonical(extra):
                continue
            nested = _NESTED.match(requirement.strip())
            if nested is not None:
                wanted += [name.strip() for name in nested[1].split(",")]
                continue
            rest = marker[: match.start()].strip().removesuffix("and").strip()
            if rest.startswith("(") and rest.endswith(")"):
                rest = rest[1:-1]
            rest = rest.replace("'", '"')
            found.add(f"{requirement.strip()}; {rest}" if rest else requirement.strip())
    return tuple(sorted(found))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
