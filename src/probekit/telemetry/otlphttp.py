"""OTLP over HTTP with protobuf, on the standard library: its answers are read, its deadlines and redirects are ours."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import ssl
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from probekit._version import __version__
from probekit.errors import ConfigError
from probekit.telemetry.delivery import Outcome
from probekit.telemetry.environment import SignalSettings

RETRYABLE: Final = frozenset((429, 502, 503, 504))
_ANSWER: Final = 65_536
_IDLE_S: Final = 20.0
"""A connection unused for longer is opened anew: its receiver may be about to close it."""

Parse = Callable[[bytes], tuple[int, str]]


class HttpSender:
    """One connection, kept alive. ``parse`` reads rejected items and words from the body of a 2xx answer.

    Raises ``ConfigError`` when a certificate file cannot be used.
    """

    def __init__(self, settings: SignalSettings, parse: Parse) -> None:
        parts = urlsplit(settings.endpoint)
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = _context(settings) if parts.scheme == "https" else None
        self._gzip = settings.gzip
        self._parse = parse
        self._headers = {
            "content-type": "application/x-protobuf",
            "user-agent": f"probekit-otlp/{__version__}",
            **({"content-encoding": "gzip"} if settings.gzip else {}),
            **settings.headers.reveal(),
        }
        self._connection: http.client.HTTPConnection | None = None
        self._used_s = 0.0

    def send(self, payload: bytes, timeout_s: float) -> Outcome:
        """One attempt. Refused and broken connections are retryable, and so are the protocol's four statuses."""
        body = gzip.compress(payload, 1) if self._gzip else payload
        deadline_s = time.monotonic() + timeout_s
        try:
            connection = self._connect(timeout_s)
            connection.request("POST", self._path, body, self._headers)
            if connection.sock is not None:
                connection.sock.settimeout(max(deadline_s - time.monotonic(), 0.001))
            answer = connection.getresponse()
            content = answer.read(_ANSWER)
            if not answer.isclosed():
                self.close()
        except (OSError, http.client.RemoteDisconnected, http.client.IncompleteRead) as error:
            self.close()
            return Outcome(delivered=False, message=_words(error), retryable=True)
        except http.client.HTTPException as error:
            self.close()
            return Outcome(delivered=False, message=f"what answers is not HTTP: {type(error).__name__}")
        self._used_s = time.monotonic()
        if 200 <= answer.status < 300:
            try:
                rejected, message = self._parse(content)
            except Exception:  # protobuf's DecodeError; the items were accepted all the same
                return Outcome(delivered=True, message="the receiver's answer does not decode")
            return Outcome(delivered=True, rejected=rejected, message=message)
        return Outcome(
            delivered=False,
            message=f"the receiver answered {answer.status} {answer.reason}"[:200],
            retryable=answer.status in RETRYABLE,
            wait_s=retry_after_s(answer.getheader("retry-after")),
        )

    def close(self) -> None:
        """Drop the connection; the next attempt opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._connection is not None and time.monotonic() - self._used_s > _IDLE_S:
            self.close()
        known = self._connection
        if known is None:
            if self._tls is not None:
                known = http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._tls)
            else:
                known = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
            self._connection = known
        known.timeout = timeout_s
        if known.sock is not None:
            known.sock.settimeout(timeout_s)
        return known


def retry_after_s(value: str | None) -> float | None:
    """A Retry-After header in seconds from now: whole seconds or an HTTP date. ``None`` when absent or unreadable."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) and error.strerror else "") or type(error).__name__


def _context(settings: SignalSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.client_certificate is not None:
            context.load_cert_chain(settings.client_certificate, settings.client_key)
    except OSError as error:
        raise ConfigError(f"a certificate file for OTLP {settings.signal} cannot be used: {error}") from None
    return context
