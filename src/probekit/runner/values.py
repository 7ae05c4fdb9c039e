"""Observed values as JSON and back, whatever a probe yields: each object with the name of its type, never its code.

A value of JSON's own stays as it is. Anything else is an object with one key that begins with ``$``, or with ``$`` for the
type of a struct or dataclass beside its fields::

    {"$": "probekit.units:Instant", "ns": 1}    {"$tuple": [1, 2]}    {"$bytes": "00ff"}    {"$decimal": "0.1"}
    {"$error": "probekit.errors.base:NotFound", "args": [...], "state": {...}}

Types are looked up by name in probekit's own packages of values, and in the file of the probe at hand (``probe:Name``), and
nowhere else; only structs, dataclasses, enums, errors and kinds of text and bytes are made. So a file can name a value, and
nothing that does anything.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

import msgspec

from probekit.errors import DecodeError, ProbekitError
from probekit.model.price import Attestation
from probekit.probe import Probe
from probekit.secret import Secret, redact, redact_bytes

PACKAGES: Final = (
    "probekit.model",
    "probekit.checks",
    "probekit.errors",
    "probekit.units",
    "probekit.codecs",
    "probekit.trust",
)
"""Where the types of values may stand, beside the probe's own file."""

_LARGEST: Final = 2**63
_RAW_LIMIT: Final = 1024
"""Bytes of what did not decode that are kept: a verdict needs the sentence, not the input."""
_PROBE: Final = "probe"


class Values:
    """Encodes and decodes values; ``module`` is the file of the probe, whose own types are known as well."""

    def __init__(self, module: ModuleType | None = None) -> None:
        self._module = module

    # -- to JSON -------------------------------------------------------------------------------------------------------------

    def encode(self, value: Any) -> Any:
        """``value`` in types of JSON, secrets removed. Raises ``TypeError`` for what is none of the known kinds."""
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return redact(value)
        if kind is int:
            return value if -_LARGEST <= value < _LARGEST else {"$int": str(value)}
        if kind is float:
            return value if math.isfinite(value) else {"$float": str(value)}
        if kind is list:
            return [self.encode(one) for one in value]
        if kind is tuple:
            return {"$tuple": [self.encode(one) for one in value]}
        if isinstance(value, Mapping):
            if all(type(key) is str and not key.startswith("$") for key in value):
                return {redact(key): self.encode(one) for key, one in value.items()}
            return {"$dict": [[self.encode(key), self.encode(one)] for key, one in value.items()]}
        return self._object(value, kind)

    def _object(self, value: Any, kind: type[Any]) -> Any:
        if isinstance(value, Attestation):
            # The signed bytes behind a price: a price that is made again is proven by nothing, and must not say so.
            return None
        if isinstance(value, Secret):
            return {"$secret": value.origin}
        if isinstance(value, Enum):
            return {"$enum": self._name(kind), "name": value.name}
        if isinstance(value, msgspec.Struct):
            names = kind.__struct_fields__
            return {"$": self._name(kind), **{name: self.encode(getattr(value, name)) for name in names}}
        if isinstance(value, ProbekitError):
            state = dict(self._fields(value))
            return {"$error": self._name(kind), "args": [self.encode(one) for one in value.args], "state": state}
        if dataclasses.is_dataclass(kind):
            names = tuple(one.name for one in dataclasses.fields(kind) if one.init)
            return {"$": self._name(kind), **{name: self.encode(getattr(value, name)) for name in names}}
        if kind in (set, frozenset):
            return {f"${kind.__name__}": [self.encode(one) for one in sorted(value, key=repr)]}
        for name, (known, write, _) in _SCALARS.items():
            if kind is known:
                return {name: write(value)}
        if isinstance(value, str):
            return {"$text": self._name(kind), "value": redact(str.__str__(value))}
        if isinstance(value, bytes):
            return {"$octets": self._name(kind), "value": bytes(value).hex()}
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} is no kind of value that can be recorded")

    def _fields(self, error: ProbekitError) -> Iterator[tuple[str, Any]]:
        """What an error holds beside its words, as far as it can be written: no verdict is made of it."""
        for name, one in vars(error).items():
            try:
                yield name, self.encode(_cut(one))
            except TypeError:
                continue

    def _name(self, kind: type[Any]) -> str:
        if self._module is not None and kind.__module__ == self._module.__name__:
            return f"{_PROBE}:{kind.__qualname__}"
        if not _is_known(kind.__module__):
            raise TypeError(f"{kind.__module__}.{kind.__qualname__} stands in no package of values: {', '.join(PACKAGES)}")
        return f"{kind.__module__}:{kind.__qualname__}"

    # -- and back ------------------------------------------------------------------------------------------------------------

    def decode(self, data: Any) -> Any:
        """The value of what :meth:`encode` gave. Raises ``DecodeError`` for anything else."""
        if isinstance(data, list):
            return [self.decode(one) for one in data]
        if not isinstance(data, dict):
            return data
        try:
            mark = next((key for key in data if key.startswith("$")), None)
            if mark is None:
                return {key: self.decode(one) for key, one in data.items()}
            return self._made(mark, data)
        except (TypeError, ValueError, KeyError, LookupError, AttributeError, InvalidOperation) as error:
            raise DecodeError(f"a value that cannot be made again: {error}", raw=str(data)[:_RAW_LIMIT]) from None

    def _made(self, mark: str, data: dict[str, Any]) -> Any:
        given = data[mark]
        if mark == "$":
            kind = self._kind(given, lambda one: issubclass(one, msgspec.Struct) or dataclasses.is_dataclass(one))
            return kind(**{name: self.decode(one) for name, one in data.items() if name != "$"})
        if mark == "$tuple":
            return tuple(self.decode(one) for one in given)
        if mark == "$dict":
            return {self.decode(key): self.decode(one) for key, one in given}
        if mark in ("$set", "$frozenset"):
            return (set if mark == "$set" else frozenset)(self.decode(one) for one in given)
        if mark == "$enum":
            return self._kind(given, lambda one: issubclass(one, Enum))[data["name"]]
        if mark == "$error":
            kind = self._kind(given, lambda one: issubclass(one, ProbekitError))
            error: ProbekitError = kind.__new__(kind)
            error.args = tuple(self.decode(one) for one in data["args"])
            vars(error).update({name: self.decode(one) for name, one in data["state"].items()})
            return error
        if mark == "$text":
            return self._kind(given, lambda one: issubclass(one, str))(data["value"])
        if mark == "$octets":
            return self._kind(given, lambda one: issubclass(one, bytes))(bytes.fromhex(data["value"]))
        if mark == "$secret":
            return Secret("not-in-the-recording", origin=str(given))
        if mark in _SCALARS:
            return _SCALARS[mark][2](given)
        raise ValueError(f"{mark} marks no kind of value")

    def _kind(self, name: str, allowed: Callable[[type[Any]], bool]) -> Any:
        kind = self._probes_own(name) if name.startswith(f"{_PROBE}:") else _find(name)
        if not isinstance(kind, type) or not allowed(kind):
            raise LookupError(f"{name} is no type of this kind")
        return kind

    def _probes_own(self, name: str) -> Any:
        if self._module is None:
            raise LookupError(f"{name} is a type of a probe that is not at hand")
        found = _attribute(self._module, name.partition(":")[2])
        if getattr(found, "__module__", None) != self._module.__name__:
            raise LookupError(f"{name} is not of that file")
        return found


def own_module(probe: Probe[Any]) -> ModuleType | None:
    """The file of a probe, where the types of its own stand; ``None`` for a probe that is made of probekit's parts alone."""
    for part in (inspect.unwrap(probe.observe), probe.options, probe.checks):
        name = getattr(part, "__module__", None) or ""
        if name in sys.modules and name.partition(".")[0] not in ("probekit", "functools", "builtins"):
            return sys.modules[name]
    return None


def _is_known(module: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in PACKAGES)


@lru_cache(maxsize=1024)
def _find(name: str) -> Any:
    module, _, path = name.partition(":")
    if not _is_known(module) or not all(part.isidentifier() and not part.startswith("__") for part in module.split(".")):
        raise LookupError(f"{name} stands in no package of values")
    try:
        found = _attribute(importlib.import_module(module), path)
    except ImportError:
        raise LookupError(f"there is no module {module}") from None
    if getattr(found, "__module__", None) != module:
        raise LookupError(f"{name} is defined elsewhere")
    return found


def _attribute(module: ModuleType, path: str) -> Any:
    found: Any = module
    for part in path.split("."):
        if not part.isidentifier() or part.startswith("__"):
            raise LookupError(f"{path} is no name of a type")
        found = getattr(found, part)
    return found


def _cut(value: Any) -> Any:
    return value[:_RAW_LIMIT] if isinstance(value, str | bytes) else value


_SCALARS: Final[dict[str, tuple[type[Any], Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "$int": (int, str, int),
    "$float": (float, str, float),
    "$bytes": (bytes, lambda one: redact_bytes(one).hex(), bytes.fromhex),
    "$decimal": (Decimal, str, Decimal),
    "$timedelta": (
        timedelta,
        lambda one: [one.days, one.seconds, one.microseconds],
        lambda one: timedelta(one[0], one[1], one[2]),
    ),
    "$datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "$date": (date, date.isoformat, date.fromisoformat),
    "$time": (time, time.isoformat, time.fromisoformat),
}
"""Kinds that are one text or one list of numbers: type, to JSON, and back."""
