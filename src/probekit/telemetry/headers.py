"""OTLP headers: held so that they cannot be shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from probekit.errors import ConfigError
from probekit.secret import MASK, Secret

# Removing a text as short as a tenant's number from everything shown would mangle innocent texts.
_SHORTEST: Final = 8
_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


class Headers:
    """Names in lower case, and values that only a sender may :meth:`reveal`.

    A value of eight characters and more is a :class:`~probekit.secret.Secret`, and so is the credential after a scheme
    (``Bearer ...``): no text that leaves this process shows it. Shorter ones are only masked in ``repr``.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)
        parts = {part for value in values.values() for part in (value, value.partition(" ")[2])}
        # Kept alive: redaction knows a secret as long as it lives.
        self._secrets = tuple(Secret(part, origin="an OTLP header") for part in parts if len(part.strip()) >= _SHORTEST)

    def reveal(self) -> dict[str, str]:
        """The headers as they go on the wire."""
        return dict(self._values)

    def __repr__(self) -> str:
        return f"Headers({', '.join(f'{name}={MASK}' for name in self._values)})"

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if isinstance(other, Headers) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._values))


def read_headers(environ: Mapping[str, str], signal: str) -> Headers:
    """From the variables, the file and the credential. Raises ``ConfigError``, without a value in it."""
    own, shared = f"OTEL_EXPORTER_OTLP_{signal.upper()}_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"
    texts = {own: environ[own]} if environ.get(own) else {shared: environ.get(shared, "")}
    if file := environ.get("PROBEKIT_OTLP_HEADERS_FILE"):
        texts["PROBEKIT_OTLP_HEADERS_FILE"] = _read(Path(file), "PROBEKIT_OTLP_HEADERS_FILE")
    if credential := environ.get("PROBEKIT_OTLP_HEADERS_CREDENTIAL"):
        where = "PROBEKIT_OTLP_HEADERS_CREDENTIAL"
        directory = environ.get("CREDENTIALS_DIRECTORY")
        if directory is None:
            raise ConfigError(f"{where}: there are no systemd credentials here (CREDENTIALS_DIRECTORY is unset)")
        if Path(credential).name != credential:
            raise ConfigError(f"{where}: {credential!r} is not a credential's name")
        texts[where] = _read(Path(directory) / credential, where)
    headers: dict[str, str] = {}
    for where, text in texts.items():
        headers.update(_parse(text, where))
    return Headers(headers)


def _read(path: Path, where: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{where}: {path} cannot be read: {reason}") from None


def _parse(text: str, where: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for number, item in enumerate(text.replace("\n", ",").split(","), 1):
        if not item.strip():
            continue
        name, separator, raw = item.partition("=")
        name, value = name.strip().lower(), unquote(raw.strip())
        if not separator or not name or not _TOKEN.issuperset(name):
            raise ConfigError(f"{where}: item {number} is not name=value")
        if not value or not value.isascii() or not value.isprintable():
            raise ConfigError(f"{where}: the value of {name} is empty or not printable ASCII")
        headers[name] = value
    return headers
