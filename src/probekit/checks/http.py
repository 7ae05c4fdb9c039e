"""Did a service answer what it should?"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec

from probekit.model import Observation, Phases, Status, Verdict
from probekit.model.json_path import NO_JSON, JsonPath, text_at
from probekit.model.observation import AddressFamily
from probekit.model.pattern import PatternSlow, Searched, compiled, may_be_slow, search
from probekit.secret import MASK, redact
from probekit.units import Instant

_SHOWN: Final = 200
"""Characters of a value in a sentence."""
_PRIVATE: Final = frozenset(("set-cookie", "www-authenticate", "proxy-authenticate", "authentication-info"))
"""Headers of an answer that may hold a key: matched, never shown."""


class HttpBody(msgspec.Struct, frozen=True):
    """An answer's body, decompressed. Shown by its first bytes alone, without secrets: what is judged need not be told."""

    raw: bytes

    def __repr__(self) -> str:
        return f"{len(self.raw)} bytes: {shown(self.raw[:4096].decode('utf-8', 'replace'))}"


class HttpHop(msgspec.Struct, frozen=True):
    """One exchange on the way to the answer; ``url`` is redacted."""

    url: str
    status: int
    elapsed_ns: int
    phases: Phases
    peer_address: str | None = None


class HttpAnswer(msgspec.Struct, frozen=True):
    """An answer of any status. ``elapsed_ns`` is that of all ``hops``, without the wait for the engine (``queue_ns``).

    Header names are lower case, in the order received.
    """

    status: int
    http_version: str | None
    family: AddressFamily | None
    elapsed_ns: int
    queue_ns: int
    hops: tuple[HttpHop, ...]
    headers: tuple[tuple[str, str], ...]
    body: HttpBody
    searched: tuple[Searched, ...] = ()
    """What was searched for beforehand, because it may take long."""

    def shown(self) -> dict[str, Any]:
        """As evidence has it: the beginning of the body as text, and no header that may hold a key."""
        headers = tuple((name, MASK if name in _PRIVATE else value) for name, value in self.headers)
        told = {**msgspec.structs.asdict(self), "headers": headers, "body": repr(self.body)}
        del told["searched"]
        return told


@dataclass(frozen=True, slots=True)
class StatusRange:
    """Statuses from ``first`` to ``last``, both included."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> StatusRange:
        """``200``, ``200-299`` or ``2xx``. Raises ``ValueError``."""
        match = re.fullmatch(r"([1-5])xx|([1-5]\d\d)(?:-([1-5]\d\d))?", text)
        if match is None:
            raise ValueError(f"{text!r} is no status: write 200, 200-299 or 2xx")
        if match[1]:
            return cls(int(match[1]) * 100, int(match[1]) * 100 + 99)
        first = int(match[2])
        last = int(match[3] or first)
        if last < first:
            raise ValueError(f"{text!r} is no range: it ends before it begins")
        return cls(first, last)

    def __contains__(self, status: int) -> bool:
        return self.first <= status <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of one place: a regular expression found there (``matches``), or not (``lacks``), or an exact value
    (``equals``). With none of them, that there is something.

    ``place`` is a header's name in lower case, a path in the JSON, or nothing for the whole body. ``equals`` of a JSON value
    is compared with it as JSON writes it; a text also without its quotes.
    """

    place: str = ""
    matches: str | None = None
    lacks: str | None = None
    equals: str | None = None

    def __post_init__(self) -> None:
        for pattern in (self.matches, self.lacks):
            if pattern is not None:
                compiled(pattern)

    @property
    def patterns(self) -> tuple[str, ...]:
        return tuple(one for one in (self.matches, self.lacks) if one is not None)

    def problem(self, value: str, searched: tuple[Searched, ...] = (), *, private: bool = False) -> str | None:
        """What is wrong with ``value``, which is shown with it; ``None`` when nothing is. Raises ``PatternSlow``."""
        found = MASK if private else repr(shown(value))
        if self.equals is not None and value != self.equals:
            return f"is {found}, not {self.equals!r}"
        if self.matches is not None and search(self.matches, value, searched) is None:
            return f"is {found}, which does not match {self.matches!r}"
        if self.lacks is not None and (unwanted := search(self.lacks, value, searched)) is not None:
            part = MASK if private else repr(shown(unwanted))
            return f"has {part}, which matches {self.lacks!r}"
        return None


@dataclass(frozen=True, slots=True)
class HttpAssertions:
    """Rule over an :class:`HttpAnswer`: CRITICAL for the first thing that is not as asked, with the value that it has.

    In order: ``unexpected_status`` (in none of ``statuses``; of none, any will do), ``unexpected_version``,
    ``unexpected_header``, ``unexpected_body`` (a text of UTF-8; what is not is replaced), ``not_json``, ``unexpected_json``.
    Of a header that comes several times one must be right, and all of them where it should lack something. Values are shown
    redacted, and cut to 200 characters; headers that hold keys are not shown at all. The body is as large as the transport let
    it become. UNKNOWN ``pattern_slow`` where a regular expression could not be told in time.
    """

    statuses: tuple[StatusRange, ...] = (StatusRange(200, 299),)
    http_version: str | None = None
    headers: tuple[Wanted, ...] = ()
    body: tuple[Wanted, ...] = ()
    json: tuple[Wanted, ...] = ()
    name: ClassVar[str] = "http_assertions"

    def __post_init__(self) -> None:
        for one in self.json:
            JsonPath.parse(one.place)

    @property
    def may_be_slow(self) -> bool:
        """Whether there is a pattern that may take long at all."""
        wanted = (*self.headers, *self.body, *self.json)
        return any(may_be_slow(pattern) for one in wanted for pattern in one.patterns)

    def searches(self, answer: HttpAnswer) -> Iterator[tuple[str, str]]:
        """Every pattern with each text that it is to be sought in."""
        for one in self.headers:
            yield from ((pattern, value) for name, value in answer.headers if name == one.place for pattern in one.patterns)
        if self.body:
            text = answer.body.raw.decode("utf-8", "replace")
            yield from ((pattern, text) for one in self.body for pattern in one.patterns)
        if self.json:
            try:
                document = msgspec.json.decode(answer.body.raw)
            except NO_JSON:
                return
            for one in self.json:
                with contextlib.suppress(LookupError):
                    text = text_at(one.place, document)
                    yield from ((pattern, text) for pattern in one.patterns)

    def __call__(self, observation: Observation[HttpAnswer], *, now: Instant) -> Verdict:
        try:
            return self._judged(observation.value)
        except PatternSlow as slow:
            return Verdict(self.name, Status.UNKNOWN, "pattern_slow", str(slow))

    def _judged(self, answer: HttpAnswer) -> Verdict:
        def wrong(reason: str, words: str) -> Verdict:
            return Verdict(self.name, Status.CRITICAL, reason, words)

        if self.statuses and not any(answer.status in one for one in self.statuses):
            wanted = ", ".join(map(str, self.statuses))
            ways = f" after {len(answer.hops) - 1} redirects" if len(answer.hops) > 1 else ""
            return wrong("unexpected_status", f"the status is {answer.status}{ways}, not {wanted}")
        if self.http_version is not None and answer.http_version != self.http_version:
            return wrong("unexpected_version", f"the answer came in HTTP {answer.http_version}, not {self.http_version}")
        for one in self.headers:
            if (problem := _header_problem(one, answer)) is not None:
                return wrong("unexpected_header", problem)
        if self.body:
            text = answer.body.raw.decode("utf-8", "replace")
            for one in self.body:
                if (problem := one.problem(text, answer.searched)) is not None:
                    return wrong("unexpected_body", f"the body {problem}")
        if self.json:
            try:
                document = msgspec.json.decode(answer.body.raw)
            except NO_JSON as error:
                return wrong("not_json", f"the body is no JSON ({error}): {answer.body!r}")
            for one in self.json:
                if (problem := _json_problem(one, document, answer.searched)) is not None:
                    return wrong("unexpected_json", problem)
        return Verdict(self.name, Status.OK, "as_expected", f"{answer.status} in HTTP {answer.http_version or 'unknown'}")


def shown(text: str) -> str:
    """``text`` fit for a sentence: no secret, one line, at most 200 characters."""
    # Cut with some to spare before it is redacted, so that no half of a secret is left at the cut.
    clean = " ".join(redact(text[: _SHOWN + 8_192]).split())
    return clean if len(clean) <= _SHOWN else f"{clean[:_SHOWN]}..."


def _header_problem(wanted: Wanted, answer: HttpAnswer) -> str | None:
    values = [value for name, value in answer.headers if name == wanted.place]
    if not values:
        only_absence = wanted.lacks is not None and wanted.matches is None and wanted.equals is None
        return None if only_absence else f"there is no header {wanted.place}"
    private = wanted.place in _PRIVATE
    problems = [wanted.problem(value, answer.searched, private=private) for value in values]
    wrong = [problem for problem in problems if problem is not None]
    if not wrong or (wanted.lacks is None and len(wrong) < len(values)):
        return None
    return f"the header {wanted.place} {wrong[0]}"


def _json_problem(wanted: Wanted, document: Any, searched: tuple[Searched, ...]) -> str | None:
    try:
        text = text_at(wanted.place, document)
    except LookupError as error:
        return str(error.args[0])
    problem = wanted.problem(text, searched)
    return None if problem is None else f"{wanted.place} {problem}"
