"""Did a TCP service say what it should?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import msgspec

from probekit.model import Observation, Phases, Status, Verdict
from probekit.model.observation import AddressFamily
from probekit.model.pattern import PatternSlow
from probekit.units import Instant

TurnEnd = Literal["sent", "matched", "ended", "limit", "late", "slow"]
"""How a turn ended: nothing was awaited; it came; the peer ended first; too much came without it; it did not come in time; or
whether it came could not be told in time.
"""


class Turn(msgspec.Struct, frozen=True):
    """One turn of a dialogue. ``heard`` is the beginning of what came up to what was awaited, redacted and in one line."""

    expected: str | None
    end: TurnEnd
    heard: str = ""
    heard_bytes: int = 0
    unended: bool = False
    """It came, in a line whose end did not."""


class TcpAnswer(msgspec.Struct, frozen=True):
    """A connection that was open, and the dialogue over it.

    ``elapsed_ns`` is from name look-up to the end of the dialogue, without the wait for a slot; ``first_byte_ns`` of the phases
    is from the open connection to the first byte.
    """

    turns: tuple[Turn, ...]
    peer_address: str
    family: AddressFamily
    phases: Phases
    elapsed_ns: int
    tls: str | None = None
    """Protocol and cipher, ALPN, where it is TLS."""

    def shown(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)


@dataclass(frozen=True, slots=True)
class TcpDialogue:
    """Rule over a :class:`TcpAnswer`: CRITICAL for the first turn that did not end as awaited, with what came instead.

    ``unexpected_answer``: other bytes came, until the limit or until there was no time left; ``closed_early``: the peer ended
    the connection first. UNKNOWN ``pattern_slow`` where it could not be told whether what came is what is awaited.
    """

    name: ClassVar[str] = "tcp_dialogue"

    def __call__(self, observation: Observation[TcpAnswer], *, now: Instant) -> Verdict:
        answer = observation.value
        for number, turn in enumerate(answer.turns, 1):
            if turn.end in ("sent", "matched"):
                continue
            if turn.end == "slow":
                words = f"turn {number}: {PatternSlow(turn.expected or '')}"
                return Verdict(self.name, Status.UNKNOWN, "pattern_slow", words)
            came = f"{turn.heard_bytes} bytes came: {turn.heard!r}" if turn.heard_bytes else "nothing came"
            wanted = f"turn {number} waits for {turn.expected!r}"
            if turn.end == "ended":
                return Verdict(
                    self.name, Status.CRITICAL, "closed_early", f"{wanted}; the peer ended the connection, and {came}"
                )
            why = "in time" if turn.end == "late" else "within the limit"
            if turn.unended:
                why = f"in a line that ended {why} (expect_bytes waits for no end of a line)"
            return Verdict(self.name, Status.CRITICAL, "unexpected_answer", f"{wanted}, which did not come {why}; {came}")
        secured = f" in {answer.tls}" if answer.tls is not None else ""
        last = next((turn.heard for turn in reversed(answer.turns) if turn.heard), "")
        said = f", and said {last!r}" if last else ""
        return Verdict(self.name, Status.OK, "as_expected", f"{answer.peer_address} was connected to{secured}{said}")
