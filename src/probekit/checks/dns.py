"""Is a DNS answer the one that is wanted, and is it the same everywhere?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final, Literal

import msgspec

from probekit.model import Comparison, Observation, Status, Tally, Verdict
from probekit.model.dns import DnsAnswer
from probekit.model.pattern import PatternSlow, compiled, search
from probekit.model.spell import began
from probekit.units import NS_PER_S, Instant, format_ns, to_ns

_SHOWN: Final = 300
"""Characters of values in a sentence."""
_MOST_PARTS: Final = 32
_HALF: Final = 2**31


@dataclass(frozen=True, slots=True)
class DnsAssertions:
    """Rule over a :class:`~probekit.model.dns.DnsAnswer`: CRITICAL for the first thing that is not as asked, with what came.

    In order: ``unexpected_rcode``, ``unexpected_count`` (of values; none where at least one is wanted is a name without such
    records), ``unexpected_value`` (``equals``: exactly these, in any order; ``contains``: at least these; ``matches``: a
    regular expression that is found in each), ``unexpected_ttl`` (the lowest along the CNAMEs), ``not_authenticated`` (AD).
    ``equals`` and ``contains`` are compared in their normal form (:func:`~probekit.model.dns.normal`). UNKNOWN ``pattern_slow``
    where ``matches`` could not be told in time.
    """

    rcode: str = "NOERROR"
    equals: tuple[str, ...] | None = None
    contains: tuple[str, ...] = ()
    matches: str | None = None
    min_count: int = 1
    max_count: int | None = None
    min_ttl: timedelta | None = None
    max_ttl: timedelta | None = None
    authenticated: bool = False
    name: ClassVar[str] = "dns_assertions"

    def __post_init__(self) -> None:
        if self.matches is not None:
            compiled(self.matches)
        if self.min_count < 0 or (self.max_count is not None and self.max_count < self.min_count):
            raise ValueError(f"0 <= min_count <= max_count must hold, not {self.min_count} and {self.max_count}")
        if self.min_ttl is not None and self.max_ttl is not None and self.max_ttl < self.min_ttl:
            raise ValueError(f"min_ttl <= max_ttl must hold, not {self.min_ttl} and {self.max_ttl}")

    def searches(self, answer: DnsAnswer) -> tuple[tuple[str, str], ...]:
        """The pattern with each value."""
        return () if self.matches is None else tuple((self.matches, value) for value in answer.values)

    def __call__(self, observation: Observation[DnsAnswer], *, now: Instant) -> Verdict:
        try:
            return self._judged(observation.value)
        except PatternSlow as slow:
            return Verdict(self.name, Status.UNKNOWN, "pattern_slow", str(slow))

    def _judged(self, answer: DnsAnswer) -> Verdict:
        found = frozenset(answer.values)

        def wrong(reason: str, words: str) -> Verdict:
            return Verdict(self.name, Status.CRITICAL, reason, f"{words}{_way(answer)}")

        if answer.rcode != self.rcode:
            return wrong("unexpected_rcode", f"the answer is {answer.rcode}, not {self.rcode}")
        count = len(answer.values)
        if count < self.min_count or (self.max_count is not None and count > self.max_count):
            most = "" if self.max_count is None else f", at most {self.max_count}"
            return wrong("unexpected_count", f"{count} values ({_list(answer.values)}), wanted at least {self.min_count}{most}")
        lacking = sorted({*(self.equals or ()), *self.contains} - found)
        if lacking:
            return wrong("unexpected_value", f"{_list(lacking)} is not among {_list(answer.values)}")
        if self.equals is not None and (more := sorted(found - {*self.equals})):
            return wrong("unexpected_value", f"{_list(more)} is there and should not be")
        if self.matches is not None:
            odd = [one for one in answer.values if search(self.matches, one, answer.searched) is None]
            if odd:
                return wrong("unexpected_value", f"{_list(odd)} does not match {self.matches!r}")
        ttl = None if answer.ttl_s is None else answer.ttl_s * NS_PER_S
        for limit, beyond in ((self.min_ttl, "below"), (self.max_ttl, "above")):
            if limit is None:
                continue
            limit_ns = to_ns(limit)
            if ttl is None or (ttl < limit_ns if beyond == "below" else ttl > limit_ns):
                seen = "there is no TTL" if ttl is None else f"the TTL is {answer.ttl_s} s"
                return wrong("unexpected_ttl", f"{seen}, {beyond} {format_ns(limit_ns)}")
        if self.authenticated and not answer.authentic:
            return wrong("not_authenticated", "no AD flag: the resolver does not say that it verified the signatures")
        shown = f"{answer.rcode}: {_list(answer.values)}" if answer.values else f"{answer.rcode}, no values"
        return Verdict(self.name, Status.OK, "as_expected", f"{shown}{_way(answer)}")


class DissentMemory(msgspec.Struct, frozen=True):
    """Since when the servers have differed, moved on by what of it could not be judged; and since when they could not be
    judged, ``None`` while they can.
    """

    since: Instant | None = None
    lost_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class DnsAgreement:
    """Fold over a comparison of what several servers answered to one question: they say the same, or the dissenters are named.

    ``by`` is what must be the same: ``values`` (with the response code; TTLs count down and are none of it) or the ``serial``
    of SOA records, of which the newest by RFC 1982 is right and the others are behind. Dissenters are those that do not say
    what most say (of equal halves, what the first by name says). WARNING ``differing`` until that has lasted ``grace``,
    CRITICAL ``dissent`` from then on: a change takes its time to spread. UNKNOWN ``too_few_sources`` with fewer than two
    answers; who does not answer at all has a verdict of its own. The time from the first such look to the next answer is not
    counted, and where it was longer than ``grace``, what was counted before is not either. State: two times.
    """

    by: Literal["values", "serial"] = "values"
    grace: timedelta = timedelta(0)
    name: ClassVar[str] = "dns_agreement"

    def __post_init__(self) -> None:
        if self.grace < timedelta(0):
            raise ValueError(f"grace must not be negative, not {self.grace}")

    def init(self) -> DissentMemory:
        return DissentMemory()

    def step(
        self, state: DissentMemory, observation: Observation[Comparison[DnsAnswer]] | None, *, now: Instant
    ) -> tuple[DissentMemory, Verdict]:
        if observation is None:
            return state, Verdict(self.name, Status.SKIPPED, "pending", "no answers to compare yet")
        answers = dict(sorted(observation.value.values.items()))
        if len(answers) < 2:
            words = f"{len(answers)} of {len(answers) + len(observation.value.failures)} servers answered"
            if state.since is not None and state.lost_at is None:
                state = DissentMemory(state.since, now)
            return state, Verdict(self.name, Status.UNKNOWN, "too_few_sources", words)
        said = {server: self._key(answer) for server, answer in answers.items()}
        right = self._right(said)
        dissenters = [server for server, key in said.items() if key != right]
        if not dissenters:
            words = f"{len(said)} servers say {_said(right)}"
            return DissentMemory(), Verdict(self.name, Status.OK, "agreeing", words, tally=Tally(ok=len(said)))
        grace_ns = to_ns(self.grace)
        since = began(state.since, state.lost_at, now=now, forget_ns=grace_ns, counts=False)
        lasted_ns = now.since(since)
        late = lasted_ns >= grace_ns
        status = Status.CRITICAL if late else Status.WARNING
        reason = "dissent" if late else "differing"
        parts = tuple(
            Verdict(self.name, status, reason, f"{server} says {_said(said[server])}", scope=server)
            for server in dissenters[:_MOST_PARTS]
        )
        tally = Tally(
            ok=len(said) - len(dissenters),
            warning=0 if late else len(dissenters),
            critical=len(dissenters) if late else 0,
        )
        others = ", ".join(server for server in said if server not in dissenters)
        spell = f"; for {format_ns(lasted_ns)}, {format_ns(grace_ns)} allowed" if grace_ns else ""
        told = "; ".join(part.message for part in parts)
        words = f"{told[:_SHOWN]}, not {_said(right)} as {others[:_SHOWN]}{spell}"
        verdict = Verdict(self.name, status, reason, words, lasted_ns, grace_ns, "ns", tally=tally, parts=parts)
        return DissentMemory(since), verdict

    def _key(self, answer: DnsAnswer) -> tuple[str, ...]:
        if self.by == "serial" and answer.serial is not None:
            return ("serial", str(answer.serial))
        return (answer.rcode, *answer.values)

    def _right(self, said: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
        keys = list(said.values())
        serials = [int(key[1]) for key in keys if self.by == "serial" and key[0] == "serial"]
        if serials:
            newest = serials[0]
            for one in serials[1:]:
                if 0 < (one - newest) % 2**32 < _HALF:
                    newest = one
            return ("serial", str(newest))
        return max(dict.fromkeys(keys), key=keys.count)


def _way(answer: DnsAnswer) -> str:
    chain = f", by way of {_list(answer.chain)}" if answer.chain else ""
    return f"{chain} (over {answer.over}{', after a truncated answer over udp' if answer.truncated else ''})"


def _list(values: tuple[str, ...] | list[str]) -> str:
    text = ", ".join(" ".join(one.split()) for one in values[:64]) or "nothing"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _said(key: tuple[str, ...]) -> str:
    return f"serial {key[1]}" if key[0] == "serial" else f"{key[0]} {_list(key[1:])}"
