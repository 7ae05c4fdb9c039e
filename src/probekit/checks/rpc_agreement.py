"""Do the endpoints of a chain give the same answer?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from probekit.model import Comparison, Observation, Status, Verdict
from probekit.model.rpc_answer import RpcAnswer
from probekit.units import Instant

_NAMED = 8
"""Endpoints whose answers are shown."""


@dataclass(frozen=True, slots=True)
class RpcAgreement:
    """Rule over the answers of several endpoints to one question: the answer that at least ``agree`` of them give, more than
    any other, is the chain's.

    Who gives another for a block or slot for which ``agree`` of them gave that one is CRITICAL ``disagrees``, by name and
    value; another for another height is lag, and told without a verdict. UNKNOWN ``no_quorum`` where fewer than ``agree``
    answered, ``split`` where two of one height differ and too few stand behind either there: somebody is wrong, and nobody can
    say who; ``other_heights`` where no answer has that many and all that differ are of different heights.
    """

    agree: int = 2
    name: ClassVar[str] = "rpc_agreement"

    def __post_init__(self) -> None:
        if self.agree < 2:
            raise ValueError(f"agree must be at least 2, not {self.agree}: one endpoint agrees with itself always")

    def __call__(self, observation: Observation[Comparison[RpcAnswer]], *, now: Instant) -> Verdict:
        answers, failures = observation.value.values, observation.value.failures
        lost = "".join(f"; {label} gave none: {error.message}" for label, error in sorted(failures.items())[:_NAMED])

        def verdict(status: Status, reason: str, message: str, count: int) -> Verdict:
            return Verdict(self.name, status, reason, f"{message}{lost}", count, self.agree, "count")

        if len(answers) < self.agree:
            return verdict(
                Status.UNKNOWN, "no_quorum", f"{len(answers)} endpoints answered, {self.agree} must agree", len(answers)
            )
        camps: dict[str, list[str]] = defaultdict(list)
        for label, answer in sorted(answers.items()):
            camps[answer.value].append(label)
        sizes = sorted((len(labels) for labels in camps.values()), reverse=True)
        largest = max(camps, key=lambda value: len(camps[value]))
        if sizes[0] < self.agree or sizes[1:2] == sizes[:1]:
            shown = _shown(answers, answers)
            if not _differ_at_one_height(answers.values()):
                return verdict(Status.UNKNOWN, "other_heights", f"no two that differ are of one height: {shown}", sizes[0])
            return verdict(Status.UNKNOWN, "split", f"no answer has {self.agree} endpoints and most: {shown}", sizes[0])
        majority = camps[largest]
        behind_it = Counter(answers[label].height for label in majority)
        others = {label: answer for label, answer in sorted(answers.items()) if label not in majority}
        dissent = {label: answer for label, answer in others.items() if behind_it[answer.height] >= self.agree}
        doubt = {label: answer for label, answer in others.items() if 0 < behind_it[answer.height] < self.agree}
        late = {label: answer for label, answer in others.items() if not behind_it[answer.height]}
        if not dissent and not doubt and _differ_at_one_height(late.values()):
            words = f"two of one height differ: {_shown(late, answers)}; {len(majority)} agree on {largest} at others"
            return verdict(Status.UNKNOWN, "split", words, len(majority))
        agreed = f"{len(majority)} of {len(answers)} agree on {largest} at {answers[majority[0]].height}"
        if late:
            agreed += f"; of other heights: {_shown(late, answers)}"
        if dissent and doubt:
            agreed += f"; where too few answered to tell: {_shown(doubt, answers)}"
        if dissent:
            return verdict(Status.CRITICAL, "disagrees", f"{_shown(dissent, answers)}; {agreed}", len(majority))
        if doubt:
            words = f"{_shown(doubt, answers)}, where fewer than {self.agree} say otherwise; {agreed}"
            return verdict(Status.UNKNOWN, "split", words, len(majority))
        return verdict(Status.OK, "agree", agreed, len(majority))


def _differ_at_one_height(answers: Iterable[RpcAnswer]) -> bool:
    values: dict[int, str] = {}
    return any(values.setdefault(one.height, one.value) != one.value for one in answers)


def _shown(some: Mapping[str, RpcAnswer], answers: Mapping[str, RpcAnswer]) -> str:
    told = [f"{label} says {answers[label].value} at {answers[label].height}" for label in [*some][:_NAMED]]
    more = f", and {len(some) - _NAMED} more" if len(some) > _NAMED else ""
    return ", ".join(told) + more
