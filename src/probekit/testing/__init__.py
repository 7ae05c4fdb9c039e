"""Public test kit: a clock to turn and a transport that answers from a function."""

from probekit.testing.clock import FakeClock
from probekit.testing.transport import ReplyTransport, reply

__all__ = ["FakeClock", "ReplyTransport", "reply"]
