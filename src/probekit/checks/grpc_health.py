"""Does a gRPC server say that it serves?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from probekit.model import Observation, Status, Verdict
from probekit.model.grpc import HealthAnswer
from probekit.units import Instant


@dataclass(frozen=True, slots=True)
class GrpcHealth:
    """Rule over a :class:`~probekit.model.grpc.HealthAnswer`: OK ``serving``, or whose fault it is that it is not.

    All CRITICAL: ``not_serving`` (the service says so itself), ``service_unknown`` (the server has no service of that name),
    ``unimplemented`` (whoever answers has no health service: another server, or a proxy in its place), ``unavailable`` (the
    connection stands and the server, or a proxy before it, does not take the call), ``grpc_status`` (any other code: a defect
    or an overload there), ``unexpected_status`` (of OK, a status that means nothing).
    """

    name: ClassVar[str] = "grpc_health"

    def __call__(self, observation: Observation[HealthAnswer], *, now: Instant) -> Verdict:
        answer = observation.value
        what = f"service {answer.service!r}" if answer.service else "the server as a whole"
        said = f": {answer.details}" if answer.details else ""

        def wrong(reason: str, words: str) -> Verdict:
            return Verdict(self.name, Status.CRITICAL, reason, f"{words}{said}")

        if answer.code == "OK":
            if answer.status == "SERVING":
                return Verdict(self.name, Status.OK, "serving", f"{what} is SERVING")
            if answer.status == "NOT_SERVING":
                return wrong("not_serving", f"{what} says NOT_SERVING: it runs, and wants no calls")
            if answer.status == "SERVICE_UNKNOWN":
                return wrong("service_unknown", f"the server does not know {what}: a wrong name here, or not registered")
            return wrong("unexpected_status", f"{what} says {answer.status}, which is neither serving nor not")
        if answer.code == "NOT_FOUND":
            return wrong(
                "service_unknown", f"the server does not know {what} (NOT_FOUND): a wrong name here, or not registered"
            )
        if answer.code == "UNIMPLEMENTED":
            return wrong(
                "unimplemented", "no health service there (UNIMPLEMENTED): the server has none, or something else answers"
            )
        if answer.code == "UNAVAILABLE":
            return wrong("unavailable", "connected, and the call was not taken (UNAVAILABLE), by the server or a proxy")
        return wrong("grpc_status", f"the call for {what} ended with {answer.code}")
