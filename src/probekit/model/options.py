"""Options as an operator writes them: typed, frozen values with their units, whose invariants hold before anything runs."""

from __future__ import annotations

import msgspec

from probekit.units import Bps


def require_positive(options: object, *names: str) -> None:
    """Raise ``ValueError`` naming the first of these fields that is zero or less. One that is ``None`` is none of them."""
    for name in names:
        value = getattr(options, name)
        if value is None:
            continue
        number = value.value if isinstance(value, Bps) else value
        if number <= type(number)():
            raise ValueError(f"{name} must be positive, not {value}")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a probe's options: a typed, frozen value whose fields carry their units.

    Annotate a field with :func:`doc` to describe it; the YAML schema, ``explain`` and the reference page are made from
    the class. Raise ``ValueError`` in ``__post_init__`` for invariants of fields and between them: it is told when the
    configuration is read, with its place, where a threshold that a check refuses would only be a defect at the first tick.
    """

    def require(self, *names: str) -> None:
        """Raise ``ValueError`` naming the first of these options that is nothing: a duration, ratio or number not above zero,
        or an empty list. One left out (``None``) is none of them.
        """
        for name in names:
            value = getattr(self, name)
            if isinstance(value, tuple | list | dict | str):
                if not value:
                    raise ValueError(f"{name} must not be empty")
            else:
                require_positive(self, name)


def doc(text: str) -> msgspec.Meta:
    """Describe an option: ``max_age: Annotated[timedelta, pk.doc("age at which ...")]``."""
    return msgspec.Meta(description=text)
