"""Dependency profiles: which extras travel in one executable, and so which probes it can run.

A host receives a profile once, however many of its probes run there. Four are few enough to build and test on each commit,
and the smallest leaves out the packages that weigh most (uvloop, web3, solders, grpcio, cryptography).
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from probekit.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Profile:
    """A name and the extras it was built with. ``requirements/<name>.txt`` is its lock."""

    name: str
    extras: frozenset[str]

    def runs(self, needs: Iterable[str]) -> bool:
        """Whether it has every extra that a probe needs."""
        return self.extras >= set(needs)


_CORE: Final = frozenset({"otel", "measure", "ws"})

PROFILES: Final = (
    Profile("core", _CORE),
    Profile("evm", _CORE | {"fast", "evm"}),
    Profile("solana", _CORE | {"fast", "solana"}),
    Profile("full", _CORE | {"fast", "evm", "solana", "otel-grpc", "lazer", "tls", "dns", "grpc", "kubernetes", "cli"}),
)
"""Smallest first: a probe belongs to the first that has its extras."""


def profile_for(probe: str, needs: Iterable[str]) -> Profile:
    """The smallest profile that runs a probe. Raises ``ConfigError`` naming the extras that no profile has."""
    wanted = tuple(needs)
    for profile in PROFILES:
        if profile.runs(wanted):
            return profile
    lacking = sorted(set(wanted) - PROFILES[-1].extras)
    raise ConfigError(f"no profile runs {probe}: none has the extra {', '.join(lacking or wanted)}")


def abi() -> str:
    """This interpreter's ABI as wheels name it (``cp311``). Raises ``ConfigError`` outside CPython."""
    if sys.implementation.name != "cpython":
        raise ConfigError(f"executables are built by CPython, not {sys.implementation.name}")
    return f"cp{sys.version_info.major}{sys.version_info.minor}"


def platform() -> str:
    """This machine's platform as wheels name it (``linux_x86_64``)."""
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def executable_name(profile: str) -> str:
    """``probekit-core-cp311-linux_x86_64``: native wheels inside bind it to one Python and one platform."""
    return f"probekit-{profile}-{abi()}-{platform()}"
