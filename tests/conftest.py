"""What every test gets: no network beyond loopback, nothing left behind, deterministic hypothesis in CI."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The first of the fixtures that every test has, and so the last to look.
from tests.support.leaks import _nothing_left_on_the_loop, nothing_left_behind
from tests.support.shows import pytest_configure, pytest_runtest_call

__all__ = ["_nothing_left_on_the_loop", "nothing_left_behind", "pytest_configure", "pytest_runtest_call"]

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


# What collecting makes stays until the end. Going through half a million objects again and again was a quarter of its time,
# and as much again in the tests: it is done once, and then they are left alone.
gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def _is_loopback(host: object) -> bool:
    if host in ("localhost", "", None, b"localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


RECURSION_LIMIT = sys.getrecursionlimit()


@pytest.fixture(autouse=True)
def recursion_limit() -> None:
    """The interpreter's own: web3's packages raise it a hundredfold when a test imports them, and JSON nested deep enough then
    overflows the C stack instead of being refused.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Connecting or resolving anything but loopback fails the test that does it."""
    real = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}
    lookups = {name: getattr(socket, name) for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex")}

    def guarded_method(name: str) -> Any:
        def call(self: socket.socket, *args: Any) -> Any:
            # The address is the last argument of each: connect(address), sendto(data[, flags], address).
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(args[-1][0]):
                raise OSError(f"a test may not leave loopback: {args[-1]!r}")
            return real[name](self, *args)

        return call

    def guarded_lookup(name: str) -> Any:
        def call(host: Any, *args: Any, **kwargs: Any) -> Any:
            if not _is_loopback(host):
                raise socket.gaierror(socket.EAI_NONAME, f"a test may not leave loopback: {host!r}")
            return lookups[name](host, *args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in real:
            patch.setattr(socket.socket, name, guarded_method(name))
        for name in lookups:
            patch.setattr(socket, name, guarded_lookup(name))
        yield
