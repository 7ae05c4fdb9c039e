"""Secrets that cannot leak by accident, and the redaction of text that may hold one.

A :class:`Secret` is masked in repr, str, format, pickle and JSON. Every live secret is also known to :func:`redact`,
which removes it (plain, percent-encoded, base64, hex, escaped as in JSON) from any text on its way to a log, span,
cassette or exception.
"""

from __future__ import annotations

import base64
import os
import re
import weakref
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, Self, overload
from urllib.parse import quote, quote_plus

MASK: Final = "[redacted]"

# By identity: of two equal secrets one may die while the other is still in use. A plain dictionary, and each reference takes
# itself out: whether any secret lives is asked of every text that is shown.
_live: dict[int, weakref.ref[Secret]] = {}
_changes = 0
"""How often that changed."""
_ordered: tuple[int, tuple[str, ...]] = (0, ())
"""All spellings, the longest first, as of so many changes: a secret may be a part of another."""


class Secret:
    """A value that only a transport may reveal.

    Make one with :meth:`env`, :meth:`file` or :meth:`credential`; the constructor is for values a program already
    holds. ``made_of`` is a secret that this one's value contains, as a header contains a key: it lives as long, so that
    either is redacted wherever a server repeats it. Raises ``ValueError`` when the value is empty.
    """

    __slots__ = ("__weakref__", "_forms", "_made_of", "_origin", "_value")

    def __init__(self, value: str, *, origin: str = "value", made_of: Secret | None = None) -> None:
        stripped = value.strip()
        if not stripped:
            raise ValueError(f"the secret from {origin} is empty")
        self._value = stripped
        self._origin = origin
        self._made_of = made_of
        self._forms = _spellings(stripped)
        _remember(self)

    @classmethod
    def env(cls, name: str) -> Self:
        """From an environment variable. Raises ``LookupError`` when it is unset, ``ValueError`` when empty."""
        value = os.environ.get(name)
        if value is None:
            raise LookupError(f"the environment variable {name} is not set")
        return cls(value, origin=f"environment {name}")

    @classmethod
    def file(cls, path: str | os.PathLike[str]) -> Self:
        """From a file's text, surrounding white space dropped. Raises ``OSError`` or ``ValueError``."""
        return cls(Path(path).read_text(encoding="utf-8"), origin=f"file {os.fspath(path)}")

    @classmethod
    def credential(cls, name: str) -> Self:
        """From a systemd credential (``LoadCredential=name:...``). Raises ``LookupError``, ``OSError``,
        ``ValueError``.
        """
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if directory is None:
            raise LookupError(f"no systemd credentials here (CREDENTIALS_DIRECTORY is unset), so no credential {name}")
        if Path(name).name != name:
            raise ValueError(f"{name!r} is not a credential's name")
        return cls.file(Path(directory) / name)

    @classmethod
    def parse(cls, reference: str) -> Self:
        """From a manifest's reference: ``env:NAME``, ``file:/path`` or ``credential:name``.

        A literal is refused, without being echoed. Raises ``ValueError``, ``LookupError`` or ``OSError``.
        """
        scheme, separator, rest = reference.partition(":")
        if separator and rest:
            if scheme == "env":
                return cls.env(rest)
            if scheme == "file":
                return cls.file(rest)
            if scheme == "credential":
                return cls.credential(rest)
        raise ValueError("a secret is given by reference, as env:NAME, file:/path or credential:name, never literally")

    @property
    def origin(self) -> str:
        """Where it came from, for messages: never the value."""
        return self._origin

    def reveal(self) -> str:
        """The value itself. Called by transports when they put it on the wire, and by nothing else."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret({MASK} from {self._origin})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return (Secret, (MASK,))


_ESCAPED_TOO: Final = (
    {ord(one): f"\\u{ord(one):04x}" for one in "<>&"},  # Go
    {ord(one): f"\\u{ord(one):04x}" for one in "<>&='"},  # Gson
    {ord("/"): "\\/"},  # PHP
)
_NET: Final = {ord(one): f"\\u{ord(one):04X}" for one in "\"<>&'+`"}


def _escaped(value: str) -> str:
    import json

    return json.dumps(value)[1:-1]


def _spellings(value: str) -> tuple[str, ...]:
    raw = value.encode()
    forms = {value, quote(value, safe=""), quote(value), quote_plus(value), raw.hex(), repr(value)[1:-1]}
    # As JSON has it, also with all that is not ASCII escaped, and as its writers do who escape more.
    for text in (value.replace("\\", "\\\\").replace('"', '\\"'), _escaped(value)):
        forms |= {text, *(text.translate(more) for more in _ESCAPED_TOO)}
    forms.add(value.replace("\\", "\\\\").translate(_NET))
    # A base64 text of a longer message shows the secret at one of three alignments; the first and last characters of
    # each also depend on the neighbours, so only the stable middle is matched.
    for lead in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * lead + raw).decode().rstrip("=")
            skip = (lead * 8 + 5) // 6
            stable = text[skip : (lead + len(raw)) * 8 // 6]
            if len(stable) >= 6:
                forms.add(stable)
    # Longest first: a spelling may contain a shorter one.
    return tuple(sorted((form for form in forms if form), key=len, reverse=True))


def _remember(secret: Secret) -> None:
    key = id(secret)

    def forget(dead: weakref.ref[Secret]) -> None:
        global _changes
        # The number may be another secret's by now.
        if _live.get(key) is dead:
            del _live[key]
        _changes += 1

    global _changes
    _live[key] = weakref.ref(secret, forget)
    _changes += 1


def _live_forms() -> tuple[str, ...]:
    global _ordered
    # Read first: what another thread makes meanwhile is seen the next time.
    changes, ordered = _changes, _ordered
    if ordered[0] != changes:
        # A list of references is taken at once, so that other threads may make secrets meanwhile.
        secrets = [reference() for reference in list(_live.values())]
        forms = {form for secret in secrets if secret is not None for form in secret._forms}
        _ordered = ordered = (changes, tuple(sorted(forms, key=len, reverse=True)))
    return ordered[1]


def redact(text: str) -> str:
    """``text`` without any live secret, in any spelling this module knows."""
    if not _live:
        return text
    for form in _live_forms():
        if form in text:
            text = text.replace(form, MASK)
    return text


def redact_bytes(data: bytes) -> bytes:
    """:func:`redact` for bytes of any content."""
    if not _live:
        return data
    for form in _live_forms():
        encoded = form.encode()
        if encoded in data:
            data = data.replace(encoded, MASK.encode())
    return data


_MARGIN: Final = 8_192
"""Looked at beyond what is kept: a secret that a cut runs through is not found by its first half."""
_LEAST_TORN: Final = 4


@overload
def cut(text: bytes, size: int) -> bytes: ...
@overload
def cut(text: str, size: int) -> str: ...
@overload
def cut(text: bytes | str, size: int) -> bytes | str: ...
def cut(text: bytes | str, size: int) -> bytes | str:
    """The first ``size`` of ``text`` without any live secret, also without the beginning of one that the cut runs through."""
    if not _live:
        return text[:size]
    some = text[: size + _MARGIN]
    kept = redact(some) if isinstance(some, str) else redact_bytes(some)
    if len(some) < len(text):
        # What was taken out before it may have moved the end of what was looked at to where it is kept.
        kept = kept[: len(kept) - _torn(kept)]
    return kept[:size]


def _torn(text: str | bytes) -> int:
    """How much of the end of ``text`` is the beginning of a live secret."""
    longest = 0
    for form in _live_forms():
        start: str | bytes = form if isinstance(text, str) else form.encode()
        for length in range(min(len(start), len(text)), max(longest, _LEAST_TORN - 1), -1):
            if text[-length:] == start[:length]:
                longest = length
                break
    return longest


def redacted(value: object, *, deepest: int = 64) -> Any:
    """A JSON value without any live secret, in its texts and its keys. What is nested deeper than ``deepest`` is left out."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bytes):
        return redact_bytes(value)
    if isinstance(value, dict | list | tuple) and not deepest:
        return MASK
    if isinstance(value, dict):
        inner = deepest - 1
        return {redacted(key, deepest=inner): redacted(item, deepest=inner) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, deepest=deepest - 1) for item in value]
    return value


def excerpt(data: bytes, size: int) -> str:
    """:func:`cut` of ``data``, as text."""
    return cut(data, size).decode("utf-8", "replace")


_KEY_PARAMETERS: Final = (
    r"(?i)([?&;](?:[\w.-]*(?:token|(?:api|app|access|private|license|subscription|account)[_.-]?key|secret|password|passwd|"
    r"signature|credential|bearer|jwt)[\w.-]*|key|auth|authorization|sig)=)[^&#;\s\"']*"
)
# Up to the last @ before the path: a password may hold one.
_USER_INFO: Final = r"://[^/?#\s\"']+@"
# Providers put the key in the path (/v2/<key>, /v3/<key>, /rpc/<key>): a long run of letters and digits mixed.
_PATH_KEY: Final = r"(?i)(://[^\s?#\"']*?/)(?=[a-z0-9_-]*\d)(?=[a-z0-9_-]*[a-z])[a-z0-9_-]{20,}(?=[/?#\s\"']|$)"


@cache
def _key_places() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """The three above. Compiled for the first URL: they take milliseconds, and ``--help`` shows none."""
    return re.compile(_USER_INFO), re.compile(_KEY_PARAMETERS), re.compile(_PATH_KEY)


_REMEMBERED: Final = 2_048
"""Characters of a URL whose shown form is kept: a probe shows the same few at every tick."""


def redact_url(url: str) -> str:
    """A URL fit to be shown: no user-info, no key-like query value, no key-like path segment, no live secret."""
    text = redact(url)
    return _without_keys(text) if len(text) > _REMEMBERED else _without_keys_again(text)


def _without_keys(text: str) -> str:
    user_info, parameters, path_key = _key_places()
    shown = user_info.sub(f"://{MASK}@", text)
    shown = parameters.sub(rf"\1{MASK}", shown)
    previous = None
    while previous != shown:
        previous, shown = shown, path_key.sub(rf"\1{MASK}", shown)
    return shown


_without_keys_again = lru_cache(maxsize=1_024)(_without_keys)
