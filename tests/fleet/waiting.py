"""Waiting for what takes a machine's time, and saying why a test cannot run on this one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, NoReturn

import pytest


def until(condition: Callable[[], Any], what: str, seconds: float) -> Any:
    """Ask again and again, at the pace of machines; fail naming ``what`` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.2)
    return found


def refused(reason: str) -> NoReturn:
    """Skip with the reason; in CI, fail with it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
