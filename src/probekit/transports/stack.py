"""The standard order of middleware, in one place: fallback > retry > status > recording > engine."""

from __future__ import annotations

from collections.abc import Sequence

from probekit.clock import Clock
from probekit.transports.base import Engine, Observer, Transport
from probekit.transports.fallback import Fallback
from probekit.transports.recording import Recording
from probekit.transports.retry import Retry, RetryPolicy
from probekit.transports.status import RaiseForStatus


def build(
    engine: Engine,
    *,
    clock: Clock,
    observer: Observer | None = None,
    retry: RetryPolicy | None = None,
    endpoints: Sequence[str] = (),
) -> Transport:
    """Stack middleware on ``engine``. Every attempt is recorded; statuses are errors inside the retry loop, so that 429 and
    5xx are retried as they ask; each endpoint has its own retries, and the deadline of a request is shared by all of them.
    """
    stack: Transport = engine if observer is None else Recording(engine, observer=observer, clock=clock)
    stack = RaiseForStatus(stack, clock=clock)
    if retry is not None:
        stack = Retry(stack, policy=retry, clock=clock)
    if len(endpoints) > 1:
        stack = Fallback(stack, endpoints, clock=clock)
    return stack
