"""What a wallet of ours has spent, on disk: the cap per day holds across restarts because nothing is sent before it is written.

See ``docs/adr/0006-spend-ledger.md`` for why it is a file. The file is made by a person and never by a program: one that is
missing, unreadable or of another wallet refuses to send, since nobody knows then what was spent. It is replaced as a whole and
flushed to the disk each time, which blocks the event loop for as long as the disk takes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import msgspec

from probekit.errors import SendRefused
from probekit.model.canary import DAY_NS, Caps, Coin, Ended, Spend, spent_in
from probekit.units import Instant

__all__ = ["CapReached", "SpendLedger", "ledger_at"]

_FORMAT: Final = 1
_MAX_SPENDS: Final = 10_000
"""Transactions of two days that are kept; more are refused, whatever they cost."""
_MAX_BYTES: Final = 16_000_000
"""Three times what so many take: what was written must read again."""


class CapReached(SendRefused):
    """A transaction that would go above the cap per day."""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    chain: str
    wallet: str
    spends: tuple[Spend, ...]


class SpendLedger:
    """The spends of one wallet on one chain. Open one with :func:`ledger_at`.

    Methods raise ``SendRefused`` where the disk does not take what must be on it.
    """

    def __init__(self, path: Path, *, chain: str, wallet: str, spends: tuple[Spend, ...]) -> None:
        self._path = path
        self._chain, self._wallet = chain, str.__str__(wallet)  # An address is text of a class that no encoder knows.
        self.spends = spends

    @property
    def open_spend(self) -> Spend | None:
        """The transaction of which it is not known what became; at most one is ever under way."""
        return next((one for one in reversed(self.spends) if one.ended is None), None)

    @property
    def last(self) -> Spend | None:
        """The newest."""
        return self.spends[-1] if self.spends else None

    def spent(self, now: Instant) -> int:
        """The most that was spent, or may still be, of what was sent in the 24 hours before ``now``."""
        return spent_in(self.spends, now)

    def reserve(self, spend: Spend, *, caps: Caps, coin: Coin, now: Instant) -> None:
        """Write down a transaction that is about to be sent. Once this returns, it is on the disk.

        Of two clocks, this host's and the chain's, date the spend by the later one and give the earlier one as ``now``: then
        neither frees anything by being wrong.

        Raises :class:`CapReached` where it might go above the cap, ``SendRefused`` where another is under way, or for a
        transaction above its own cap.
        """
        if self.open_spend is not None:
            raise SendRefused(f"{self.open_spend.transaction} is under way: nothing is sent beside it")
        if spend.reserved > caps.per_transaction:
            raise SendRefused(f"it may take {coin.text(spend.reserved)}, the cap is {coin.text(caps.per_transaction)}")
        before = self.spent(now)
        # With it, not added to it: of two with one nonce only one is paid.
        after = spent_in((*self.spends, spend), now)
        if after > caps.per_day:
            raise CapReached(
                f"{coin.text(before)} of the last 24 h and at most {coin.text(spend.reserved)} more are above the cap, "
                f"{coin.text(caps.per_day)} a day"
            )
        kept = tuple(one for one in self.spends if now.ns - one.sent_at_ns < 2 * DAY_NS or one is self.spends[-1])
        if len(kept) >= _MAX_SPENDS:
            raise CapReached(f"{_MAX_SPENDS} transactions in two days are more than the ledger keeps")
        self._write((*kept, spend))

    def settle(self, transaction: str, ended: Ended | None, *, paid: int | None = None, block: int | None = None) -> None:
        """Write down what became of a transaction, what it took and the block it was in. Without ``paid`` all that was reserved
        counts on; ``ended`` of ``None`` opens it again: a reorganisation undid its end.
        """
        self._write(
            tuple(
                msgspec.structs.replace(one, ended=ended, paid=paid, block=block) if one.transaction == transaction else one
                for one in self.spends
            )
        )

    def _write(self, spends: tuple[Spend, ...]) -> None:
        told = _File(format=_FORMAT, chain=self._chain, wallet=self._wallet, spends=spends)
        try:
            _replace(self._path, msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n")
        except OSError as error:
            raise SendRefused(f"the ledger {self._path} cannot be written: {error.strerror or error}") from None
        self.spends = spends


@contextlib.asynccontextmanager
async def ledger_at(path: str | os.PathLike[str], *, chain: str, wallet: str) -> AsyncIterator[SpendLedger]:
    """The ledger in a file that exists, for this process alone until left. An empty file says that nothing was spent today.
    A symbolic link stands for the file that it leads to, whose lock is the one that counts.

    Raises ``SendRefused``: no such file, not readable, no ledger, of another chain or wallet, with a second hard link (which
    would have a lock of its own), or in use by another process.
    """
    with _locked(Path(path)) as file:
        yield SpendLedger(file, chain=chain, wallet=wallet, spends=_read(file, chain, wallet))


def _read(path: Path, chain: str, wallet: str) -> tuple[Spend, ...]:
    try:
        with path.open("rb") as opened:
            links = os.fstat(opened.fileno()).st_nlink
            raw = opened.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise SendRefused(
            f"there is no ledger at {path}: where nothing was spent by {wallet} in the last 24 h, make it an empty file"
        ) from None
    except OSError as error:
        raise SendRefused(f"the ledger {path} cannot be read: {error.strerror or error}") from None
    if links > 1:
        raise SendRefused(f"the ledger {path} has {links} names (hard links), and one lock cannot hold them all: leave it one")
    if not raw:
        return ()
    try:
        told = msgspec.json.decode(raw[:_MAX_BYTES], type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SendRefused(f"the ledger {path} does not read, so nobody knows what was spent: {error}") from None
    if told.format != _FORMAT:
        raise SendRefused(f"the ledger {path} has the format {told.format}, which this release does not know")
    if (told.chain, told.wallet) != (chain, wallet):
        raise SendRefused(f"the ledger {path} is of {told.wallet} on {told.chain}, not of {wallet} on {chain}")
    return told.spends


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Hold a lock beside the file that ``path`` leads to, which is replaced and cannot carry one; gives that file.

    The lock ends with the process, however that ends.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        raise SendRefused("a ledger needs file locks of POSIX: nothing is sent from this system") from None
    path = Path(os.path.realpath(path))
    beside = path.with_name(path.name + ".lock")
    try:
        held = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SendRefused(f"the ledger {path} cannot be locked: {beside}: {error.strerror or error}") from None
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SendRefused(f"the ledger {path} is in use: another process sends for this wallet") from None
        yield path
    finally:
        os.close(held)


def _replace(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of a file, so that after a crash it is the one or the other, and on the disk when this
    returns.
    """
    fresh = path.with_name(path.name + ".new")
    written = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(written, "wb", closefd=False) as opened:
            opened.write(content)
        os.fsync(written)
    finally:
        os.close(written)
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
