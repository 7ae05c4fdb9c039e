"""Names of a package that are imported when they are first asked for: what defines a probe must not load what runs one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any


def exported(package: str, name: str, where: Mapping[str, str], *, root: str | None = None) -> Any:
    """What ``name`` is in ``package``, of which it is an attribute from then on. For a package's ``__getattr__``.

    ``where`` has the module of each name, below ``root`` (the package itself without it). Raises ``AttributeError`` as Python
    does for a name that is not there.
    """
    module = where.get(name)
    if module is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{root or package}.{module}"), name)
    setattr(sys.modules[package], name, value)
    return value
