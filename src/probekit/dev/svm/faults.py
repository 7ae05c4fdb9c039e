"""What can be wrong with a node, switched from Python. A fault is of one node: others over the same ledger stay well."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, get_args

Topic = Literal["account", "logs", "program", "root", "signature", "slot"]
TOPICS: Final[frozenset[Topic]] = frozenset(get_args(Topic))


class Faults:
    """The switches; each has a context manager that sets it and puts it back."""

    def __init__(self) -> None:
        self.behind: int = 0
        """Blocks that the node lags: its HTTP answers are of that long ago, getHealth and a send with preflight say so.
        Its subscriptions are not delayed. At most 64; beyond, account state is the oldest still known."""
        self.unhealthy: bool = False
        """The node does not know how far it is behind: getHealth says only that it is unhealthy."""
        self.silent: frozenset[Topic] = frozenset()
        """Topics whose subscriptions are confirmed and never notified."""
        self.http_status: int | None = None
        """Status that every HTTP request is answered with, in place of JSON: 429 and 503 are what gateways send."""

    @contextmanager
    def behind_by(self, blocks: int) -> Iterator[None]:
        """The node lags for the while."""
        before, self.behind = self.behind, blocks
        try:
            yield
        finally:
            self.behind = before

    @contextmanager
    def unknown_health(self) -> Iterator[None]:
        """The node cannot tell its health for the while."""
        before, self.unhealthy = self.unhealthy, True
        try:
            yield
        finally:
            self.unhealthy = before

    @contextmanager
    def silence(self, *topics: Topic) -> Iterator[None]:
        """No notification of these topics (default: of any) for the while."""
        before, self.silent = self.silent, self.silent | (frozenset(topics) or TOPICS)
        try:
            yield
        finally:
            self.silent = before

    @contextmanager
    def answering(self, status: int) -> Iterator[None]:
        """HTTP answers are this status and nothing else for the while."""
        before, self.http_status = self.http_status, status
        try:
            yield
        finally:
            self.http_status = before
