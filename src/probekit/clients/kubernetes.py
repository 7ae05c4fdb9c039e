"""A Kubernetes cluster's objects, listed and nothing more: every request is a GET of a list.

Source: the API conventions of Kubernetes (lists in pieces by ``limit`` and ``continue``; 410 once a piece's state is gone).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import msgspec

from probekit.clients.kubernetes_access import ClusterAccess
from probekit.clients.over_http import OverHttp
from probekit.clock import SYSTEM_CLOCK, Clock, within
from probekit.codecs.kubernetes import Page, decode_page, place_of
from probekit.errors import (
    ConfigError,
    DeadlineExceeded,
    DecodeError,
    NotEntitled,
    ProbekitError,
    StatusError,
    TransportError,
    Unauthorized,
)
from probekit.model.kubernetes import Certificate, KubernetesObject, Listing, ListProblem, ObjectKind, TlsSecret
from probekit.secret import cut
from probekit.transports.base import Engine, Limits, Observer, Request
from probekit.transports.retry import RetryPolicy
from probekit.transports.stack import build
from probekit.units import NS_PER_S, Instant

if TYPE_CHECKING:
    from probekit.trust.certificates import Anchors

__all__ = ["KubernetesClient"]

_NOT_FOUND: Final = 404
_GONE: Final = 410
_AT_ONCE: Final = 6
"""Lists that are read beside each other."""
_LEAST_NS: Final = 3 * NS_PER_S
"""What a list may take however many wait, as long as there is time."""
_HOUR_NS: Final = 3_600 * NS_PER_S
"""Which chain of a Secret lives longest is looked at again each hour."""


class KubernetesClient(OverHttp):
    """A client of one API server. ``timeout`` bounds a call, with all its lists, their pages and retries, of which each has a
    share; a kind's listing ends at ``most_objects`` and says so. ``transport`` is an engine of the caller's, not closed here,
    and must trust the cluster's authorities; without one, an engine is made that does.

    Raises :class:`~probekit.errors.TransportError` leaves, ``DecodeError``, and ``ConfigError`` where the credentials cannot be
    had.
    """

    def __init__(
        self,
        access: ClusterAccess,
        *,
        transport: Engine | None = None,
        timeout: timedelta = timedelta(seconds=20),
        page_size: int = 500,
        most_objects: int = 20_000,
        retry: RetryPolicy | None = None,
        observer: Observer | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limits: Limits | None = None,
    ) -> None:
        if page_size < 1 or most_objects < 1:
            raise ValueError("page_size and most_objects must be positive")
        self.access = access
        owned: Engine | None = None
        if transport is None:
            from probekit.transports.httpx import HttpxTransport

            transport = owned = HttpxTransport(clock=clock, tls=access.tls)
        super().__init__(transport=transport, timeout=timeout, clock=clock, limits=limits)
        self._owned = owned
        self._page_size = page_size
        self._most = most_objects
        self._known: tuple[Instant, Anchors] | None = None
        self._issued: dict[bytes, tuple[Instant, str]] = {}
        """Of Secrets: the first end of the chain, and whose it is; by their certificates."""
        self._transport = build(self._engine, clock=clock, observer=observer, retry=retry or RetryPolicy())

    async def listing(self, kind: ObjectKind, namespaces: Sequence[str] = (), labels: str = "") -> Listing:
        """All objects of a kind, of all namespaces or of those named, that ``labels`` (a label selector) picks.

        What one namespace may not be asked, or a kind that is not served, is a problem of the listing. Raises where nothing was
        answered at all.
        """
        [listing] = (await self.listings([kind], namespaces, labels)).values()
        if isinstance(listing, ProbekitError):
            raise listing
        return listing

    async def listings(
        self, kinds: Sequence[ObjectKind], namespaces: Sequence[str] = (), labels: str = ""
    ) -> dict[ObjectKind, Listing | ProbekitError]:
        """Several kinds at once. The error of a kind stands in its place, where it failed in every namespace and not by the
        server's word on that kind.

        A list that is not answered is given up while there is time for those that wait for its place.
        """
        gate, due_ns = asyncio.Semaphore(_AT_ONCE), self._due_ns()
        places: Sequence[str | None] = namespaces or (None,)
        asked: list[tuple[ObjectKind, str | None]] = [(kind, place) for kind in dict.fromkeys(kinds) for place in places]
        waiting = len(asked)

        async def one(kind: ObjectKind, namespace: str | None) -> Listing | ProbekitError:
            nonlocal waiting
            async with gate:
                now_ns, turns = self._clock.monotonic_ns(), -(-waiting // _AT_ONCE)
                waiting -= 1
                ends_ns = min(due_ns, now_ns + max((due_ns - now_ns) // turns, _LEAST_NS))
                try:
                    if now_ns >= due_ns:
                        raise TimeoutError
                    return await within(self._clock, ends_ns, self._list(kind, namespace, labels, ends_ns))
                except TimeoutError:
                    words = f"{self.access.server} did not list {kind} in time"
                    return DeadlineExceeded(words, url=self.access.server, elapsed_ns=self._clock.monotonic_ns() - now_ns)
                except ProbekitError as error:
                    return error

        found: dict[ObjectKind, list[tuple[str | None, Listing | ProbekitError]]] = {}
        for (kind, place), outcome in zip(asked, await asyncio.gather(*(one(*each) for each in asked)), strict=True):
            found.setdefault(kind, []).append((place, outcome))
        return {kind: _joined(kind, parts) for kind, parts in found.items()}

    async def _list(self, kind: ObjectKind, namespace: str | None, labels: str, due_ns: int) -> Listing:
        try:
            return await self._pages(kind, namespace, labels, due_ns)
        except StatusError as error:
            if error.status != _GONE:
                raise
        # The state that the pages are of was given up in between: once more, from the beginning.
        return await self._pages(kind, namespace, labels, due_ns)

    async def _pages(self, kind: ObjectKind, namespace: str | None, labels: str, due_ns: int) -> Listing:
        objects: list[KubernetesObject] = []
        problems: list[ListProblem] = []
        token = ""
        while True:
            page = await self._page(kind, namespace, labels, token, due_ns)
            problems += page.problems
            for one in page.objects:
                if not isinstance(one, TlsSecret):
                    objects.append(one)
                    continue
                try:
                    objects.append(await self._certificate(one))
                except DecodeError as error:
                    problems.append(ListProblem("unreadable", one.name, error.message))
            if not page.token:
                break
            if len(objects) + len(problems) >= self._most or page.token == token:
                message = f"there are more than the {len(objects)} {kind} that were read"
                problems.append(ListProblem("truncated", namespace or "", message))
                break
            token = page.token
        return Listing(kind=kind, objects=tuple(objects), problems=tuple(problems))

    async def _page(self, kind: ObjectKind, namespace: str | None, labels: str, token: str, due_ns: int) -> Page:
        place = place_of(kind)
        query = {"limit": str(self._page_size), "continue": token, "labelSelector": labels, "fieldSelector": place.selector}
        url = f"{self.access.server}{place.path(namespace)}?{urlencode({name: one for name, one in query.items() if one})}"
        try:
            return await self._get(kind, url, due_ns, renew=False)
        except Unauthorized:
            if not self.access.renews:
                raise
            # The token may have been replaced since it was read.
            return await self._get(kind, url, due_ns, renew=True)

    async def _get(self, kind: ObjectKind, url: str, due_ns: int, *, renew: bool) -> Page:
        headers = (("accept", "application/json"), *await self.access.headers(renew=renew))
        request = Request("GET", url, headers=headers, deadline_ns=due_ns, limits=self._limits)
        return decode_page(kind, (await self._transport.send(request)).body)

    async def _certificate(self, secret: TlsSecret) -> Certificate:
        """When the first of the chain in a Secret ends. Raises ``DecodeError``, and ``ConfigError`` without the extra."""
        # It takes half a millisecond, and there may be thousands: each is looked at once an hour.
        known = (Instant(self._clock.now().ns // _HOUR_NS * _HOUR_NS), _anchors())
        if known != self._known:
            self._known, self._issued = known, {}
        mark = sha256(b"".join((*secret.certificates, b"\0", *secret.authorities))).digest()
        end = self._issued.get(mark)
        if end is None:
            await asyncio.sleep(0)
            end = _end(secret, known[1], known[0])
            if len(self._issued) < self._most:
                self._issued[mark] = end
        at, authority = end
        return Certificate(name=secret.name, created_at=secret.created_at, expires_at=at, authority=authority)


def _anchors() -> Anchors:
    """The system's authorities, where it has any."""
    from probekit.transports.anchors import anchors

    try:
        return anchors()
    except ConfigError:
        return _nobody()


@cache
def _nobody() -> Anchors:
    """Always the same: what was found out by others is forgotten."""
    from probekit.trust.certificates import Anchors

    return Anchors(())


def _end(secret: TlsSecret, trusted: Anchors, at: Instant) -> tuple[Instant, str]:
    """When the first of the chain ends, and which that is where it is an authority."""
    from probekit.trust.certificates import first_to_end, read_certificate

    first = first_to_end(secret.certificates, secret.authorities, trusted, at=at)
    return first.not_after, "" if first == read_certificate(secret.certificates[0]) else first.subject


def _joined(kind: ObjectKind, parts: Sequence[tuple[str | None, Listing | ProbekitError]]) -> Listing | ProbekitError:
    objects: list[KubernetesObject] = []
    problems: list[ListProblem] = []
    errors: list[ProbekitError] = []
    for namespace, outcome in parts:
        if isinstance(outcome, Listing):
            objects += outcome.objects
            problems += outcome.problems
            continue
        problem = _problem(kind, namespace or "", outcome)
        problems.append(problem)
        if problem.kind == "list_failed":
            errors.append(outcome)
    if len(errors) == len(parts):
        return errors[0]
    return Listing(kind=kind, objects=tuple(objects), problems=tuple(problems))


def _problem(kind: ObjectKind, namespace: str, error: ProbekitError) -> ListProblem:
    where = f" in {namespace}" if namespace else ""
    if isinstance(error, NotEntitled):
        return ListProblem("not_entitled", namespace, f"may not list {kind}{where}: {_said(error)}")
    if isinstance(error, StatusError) and error.status == _NOT_FOUND:
        place = place_of(kind)
        group = "/".join(part for part in (place.group, place.version) if part)
        return ListProblem("not_served", namespace, f"the server has no {place.plural} of {group}{where}")
    return ListProblem("list_failed", namespace, f"{kind}{where} could not be listed: {error.message}")


_SAID: Final = 500


class _Status(msgspec.Struct):
    message: str = ""


def _said(error: TransportError) -> str:
    """The server's own sentence, where its answer was a ``Status``; what JSON had escaped of a secret is only seen now."""
    body = error.body if isinstance(error, StatusError) else ""
    try:
        return " ".join(cut(msgspec.json.decode(body, type=_Status).message, _SAID).split()) or error.message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return error.message
