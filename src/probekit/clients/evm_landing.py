"""How a transaction lands on an EVM chain: what is refused before it is sent, and waiting until it is there to stay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from probekit.clock import Clock, within
from probekit.codecs import evm_rpc as codec
from probekit.errors import DeadlineExceeded, Missing, NotFound, NotServed, ProbekitError, SendRefused
from probekit.model.evm import Receipt
from probekit.units import to_ns

if TYPE_CHECKING:
    from probekit.clients.evm import EvmClient

__all__ = ["Landing", "refuse_other", "wait_for"]


class Landing(msgspec.Struct, frozen=True):
    """How waiting for a receipt ended: the receipt that stayed, and how many blocks were on top when it was taken for good.

    ``reorganised`` counts the blocks that held the transaction and left the chain meanwhile.
    """

    receipt: Receipt
    confirmations: int
    reorganised: int = 0


def refuse_other(raw: bytes, *, chain_id: int, chain: str, cap_wei: int) -> None:
    """Return where a signed transaction is of this chain alone and may take ``cap_wei`` at most.

    Raises ``SendRefused``, and ``DecodeError`` for bytes that are none.
    """
    said = codec.decode_signed_transaction(raw)
    if said.chain_id != chain_id:
        of = "every chain" if said.chain_id is None else f"chain {said.chain_id}"
        raise SendRefused(f"the transaction is of {of}, this is {chain}")
    if said.most > cap_wei:
        raise SendRefused(f"it may take {said.most} wei, the cap is {cap_wei}")


@dataclass
class _Watched:
    """A transaction that is waited for: the block that it was seen in last, and how many it was in before."""

    transaction_hash: str
    confirmations: int
    held: str | None = None
    reorganised: int = 0


async def wait_for(
    client: EvmClient, transaction_hash: str, *, confirmations: int, poll: timedelta, timeout: timedelta, clock: Clock
) -> Landing:
    """:meth:`EvmClient.wait`."""
    due_ns = clock.monotonic_ns() + to_ns(timeout)
    watched = _Watched(transaction_hash, confirmations)
    while True:
        failure = ""
        try:
            landing = await within(clock, due_ns, _landing(client, watched))
        except TimeoutError:
            landing, failure = None, "no answer in time"
        except ProbekitError as error:
            if not (error.retry_same or isinstance(error, NotServed | Missing)):
                raise
            landing, failure = None, error.message
        if landing is not None:
            return landing
        wake_ns = clock.monotonic_ns() + to_ns(poll)
        if wake_ns >= due_ns:
            why = f": {failure}" if failure else ""
            raise DeadlineExceeded(f"{transaction_hash} has not {confirmations} confirmations in time{why}")
        await clock.sleep_until_ns(wake_ns)


async def _landing(client: EvmClient, watched: _Watched) -> Landing | None:
    found = await client.receipt(watched.transaction_hash)
    if watched.held is not None and (found is None or found.block_hash != watched.held):
        watched.reorganised += 1
    watched.held = None if found is None else found.block_hash
    if found is None:
        return None
    on_top = await client.block_number() - found.block_number + 1
    if on_top < watched.confirmations:
        return None
    try:
        # The block of that number now: a node may keep the receipt of a block that is no longer the chain's.
        stands = (await client.block(found.block_number)).hash == found.block_hash
    except NotFound:  # Asked of an endpoint that is behind the one before, or a reorganisation has just made it shorter.
        return None
    return Landing(found, on_top, watched.reorganised) if stands else None
