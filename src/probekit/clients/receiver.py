"""Pyth's receiver on Solana: price update accounts by feed and shard, under both generations of its programs.

A feed's address is derived, so hundreds of feeds are a few batched reads. Sources of the layouts and addresses stand in
:mod:`probekit.codecs.solana.receiver` and :mod:`probekit.codecs.solana.addresses`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from probekit.clients.solana import SolanaClient
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs.solana.addresses import CORE, GENERATIONS, PRO, SPONSORED_SHARD, Programs
from probekit.codecs.solana.receiver import (
    PRICE_UPDATE_DISCRIMINATOR,
    decode_config,
    decode_price_update,
    push_feed_read,
    read_push_feed,
)
from probekit.codecs.solana.sysvar import CLOCK, ClusterClock, decode_clock
from probekit.codecs.solana.wormhole import decode_bridge_config, decode_guardian_set
from probekit.errors import DecodeError, NotFound, ProbekitError
from probekit.model import FeedId
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import (
    FULL,
    BridgeConfig,
    FeedMigration,
    GuardianSetAccount,
    PostedFeeds,
    PriceUpdateAccount,
    ProgramGeneration,
    PushFeedAccount,
    PushFeedRead,
    ReceiverConfig,
    SetInForce,
    VerificationLevel,
)
from probekit.model.solana import Account
from probekit.units import Instant

__all__ = ["ReceiverClient"]


class ReceiverClient:
    """Reads Pyth's accounts of one cluster through ``solana``, which stays the caller's to close.

    Reads of many feeds answer each for itself: the account, ``None`` where nobody has posted, or the error of that one.
    """

    def __init__(self, solana: SolanaClient, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.solana = solana
        self._clock = clock

    # -- prices --------------------------------------------------------------------------------------------------------------

    async def push_feeds(
        self,
        feed_ids: Iterable[str],
        *,
        generation: ProgramGeneration = ProgramGeneration.PRO,
        shard_id: int = SPONSORED_SHARD,
        min_slot: int | None = None,
    ) -> dict[FeedId, PushFeedAccount | ProbekitError | None]:
        """The push feed accounts of some feeds. ``min_slot`` refuses answers from before that slot: read what was posted.
        Raises ``ValueError`` for an id or shard that is none.
        """
        wanted = list(dict.fromkeys(FeedId(feed_id) for feed_id in feed_ids))
        programs = GENERATIONS[generation]
        addresses = [programs.push_feed(feed_id, shard_id) for feed_id in wanted]
        found = await self.solana.accounts(addresses, min_slot=min_slot)
        return {feed_id: _read(item, feed_id, shard_id) for feed_id, item in zip(wanted, found, strict=True)}

    async def push_feed(
        self,
        feed_id: str,
        *,
        generation: ProgramGeneration = ProgramGeneration.PRO,
        shard_id: int = SPONSORED_SHARD,
        min_slot: int | None = None,
    ) -> PushFeedAccount:
        """One push feed account. Raises its error, ``NotFound`` where nobody has posted."""
        read = await self.push_feeds([feed_id], generation=generation, shard_id=shard_id, min_slot=min_slot)
        (found,) = read.values()
        if found is None:
            text = f"no {generation} price of {feed_id} in shard {shard_id} on this cluster"
            raise NotFound(text, subject=str(feed_id))
        if isinstance(found, ProbekitError):
            raise found
        return found

    async def posted_feeds(
        self, *, generation: ProgramGeneration = ProgramGeneration.PRO, shard_id: int = SPONSORED_SHARD
    ) -> PostedFeeds:
        """Every push feed that anybody posts to a shard, found on the cluster: in shard 0 those that Pyth sponsors, and others
        that somebody keeps there. One request, of a kind that many public endpoints switch off: then ``NotServed``.
        """
        programs = GENERATIONS[generation]
        found = await self.solana.program_accounts(programs.receiver, memcmp=[(0, PRICE_UPDATE_DISCRIMINATOR)])
        feeds: dict[FeedId, PushFeedAccount] = {}
        errors: list[DecodeError] = []
        for item in found.items:
            if not isinstance(item, Account):
                errors += [item] if item is not None else []
                continue
            try:
                feed_id = decode_price_update(item.data).feed_id
                if item.key == programs.push_feed(feed_id, shard_id):
                    feeds[feed_id] = read_push_feed(item, feed_id, shard_id=shard_id)
            except DecodeError as error:
                errors.append(error)
        return PostedFeeds(generation, shard_id, found.slot, feeds, tuple(errors))

    async def migrations(
        self,
        feed_ids: Iterable[str],
        *,
        max_age: timedelta,
        level: VerificationLevel = FULL,
        shard_id: int = SPONSORED_SHARD,
        at: Instant | None = None,
    ) -> dict[FeedId, FeedMigration | ProbekitError]:
        """Each feed under both generations: which account is fresher, which one to read, and why. Both are read in the same
        requests. A feed that could not be read from the endpoint has that error.
        """
        wanted = list(dict.fromkeys(FeedId(feed_id) for feed_id in feed_ids))
        addresses = [programs.push_feed(feed_id, shard_id) for feed_id in wanted for programs in (CORE, PRO)]
        found = await self.solana.accounts(addresses)
        now = at or self._clock.now()
        judged: dict[FeedId, FeedMigration | ProbekitError] = {}
        for number, feed_id in enumerate(wanted):
            core, pro = (_read(item, feed_id, shard_id) for item in found[2 * number : 2 * number + 2])
            failed = next((item for item in (core, pro) if _unread(item)), None)
            if isinstance(failed, ProbekitError):
                judged[feed_id] = failed
            else:
                judged[feed_id] = FeedMigration.judge(feed_id, _known(core), _known(pro), at=now, max_age=max_age, level=level)
        return judged

    async def push_reads(
        self, wanted: Iterable[tuple[str, int]]
    ) -> tuple[ClusterClock, dict[tuple[FeedId, int], tuple[PushFeedRead, PushFeedRead] | ProbekitError]]:
        """The cluster's own clock, and under both generations (core, pro) what many (feed, shard) pairs hold: all in the same
        requests, for :meth:`FeedMigration.judge <probekit.model.receiver.FeedMigration.judge>` by that clock.

        A pair that could not be read from the endpoint has that error. Raises what reading the clock does, ``DecodeError`` for
        one that is none.
        """
        pairs = list(dict.fromkeys((FeedId(feed_id), shard) for feed_id, shard in wanted))
        addresses = [programs.push_feed(feed_id, shard) for feed_id, shard in pairs for programs in (CORE, PRO)]
        clock, *found = await self.solana.accounts([CLOCK, *addresses])
        if isinstance(clock, ProbekitError):
            raise clock
        if clock is None:
            raise DecodeError("the cluster has no clock: the sysvar account is missing", raw=b"")
        reads: dict[tuple[FeedId, int], tuple[PushFeedRead, PushFeedRead] | ProbekitError] = {}
        for number, (feed_id, shard) in enumerate(pairs):
            core, pro = (_read(item, feed_id, shard) for item in found[2 * number : 2 * number + 2])
            failed = next((item for item in (core, pro) if _unread(item)), None)
            reads[feed_id, shard] = failed if isinstance(failed, ProbekitError) else (_known(core), _known(pro))
        return decode_clock(clock.data), reads

    async def price_update(self, address: Pubkey | str) -> PriceUpdateAccount:
        """A price update account at any address, also one that lives for a transaction only. Raises ``NotFound``,
        ``DecodeError``, also where the account is not a receiver's.
        """
        found = await self._account(Pubkey(address), "price update account")
        receivers = [programs.receiver for programs in GENERATIONS.values()]
        if found.owner not in receivers:
            raise DecodeError(f"{address} is owned by {found.owner}, not by a receiver program", raw=found.data)
        return decode_price_update(found.data)

    # -- configuration ---------------------------------------------------------------------------------------------------------

    async def config(self, generation: ProgramGeneration = ProgramGeneration.PRO) -> ReceiverConfig:
        """The receiver's configuration: governance, Wormhole program, data sources, fee, signatures wanted. Raises
        ``NotFound`` on a cluster without this generation.
        """
        programs = GENERATIONS[generation]
        return decode_config((await self._owned(programs.receiver_config(), programs.receiver, "receiver configuration")).data)

    async def bridge_config(self, generation: ProgramGeneration = ProgramGeneration.PRO) -> BridgeConfig:
        """Which guardian set this generation's Wormhole program has in force. Raises ``NotFound``."""
        programs = GENERATIONS[generation]
        return decode_bridge_config(
            (await self._owned(programs.bridge_config(), programs.wormhole, "bridge configuration")).data
        )

    async def guardian_set(
        self, index: int | None = None, *, generation: ProgramGeneration = ProgramGeneration.PRO
    ) -> GuardianSetAccount:
        """A guardian set that this generation's Wormhole program keeps; without ``index`` the one in force. Raises
        ``NotFound``, ``DecodeError`` (also for a set under the address of another).
        """
        programs = GENERATIONS[generation]
        with self.solana.pool.one_deadline():
            if index is None:
                index = (await self.bridge_config(generation)).guardian_set_index
            found = await self._owned(programs.guardian_set(index), programs.wormhole, f"guardian set {index}")
        decoded = decode_guardian_set(found.data)
        if decoded.index != index:
            raise DecodeError(f"the account of guardian set {index} holds set {decoded.index}", raw=found.data)
        return decoded

    async def in_force(
        self, generations: Iterable[ProgramGeneration] = tuple(ProgramGeneration)
    ) -> dict[ProgramGeneration, SetInForce | ProbekitError]:
        """The guardian set that each generation verifies by, with the receiver's configuration: two requests in all.

        Each for itself: an error stands in its own place. ``NotFound`` for a generation that this cluster has not.
        """
        wanted = list(dict.fromkeys(generations))
        with self.solana.pool.one_deadline():
            known = await self._configured(wanted)
            indices = {one: found[0] for one, found in known.items() if not isinstance(found, ProbekitError)}
            places = {one: GENERATIONS[one].guardian_set(index) for one, index in indices.items()}
            accounts = dict(zip(places, await self.solana.accounts(places.values()), strict=True))
        return {one: _in_force(one, known[one], accounts.get(one)) for one in wanted}

    async def _configured(
        self, generations: Iterable[ProgramGeneration]
    ) -> dict[ProgramGeneration, tuple[int, ReceiverConfig] | ProbekitError]:
        """The index of the set in force, and the receiver's configuration."""
        keys = {one: (GENERATIONS[one].bridge_config(), GENERATIONS[one].receiver_config()) for one in generations}
        read = iter(await self.solana.accounts(key for pair in keys.values() for key in pair))
        found: dict[ProgramGeneration, tuple[int, ReceiverConfig] | ProbekitError] = {}
        for generation, (bridge_key, config_key) in keys.items():
            programs, bridge, config = GENERATIONS[generation], next(read), next(read)
            try:
                index = decode_bridge_config(_held(bridge, bridge_key, programs.wormhole, "bridge configuration").data)
                receiver = decode_config(_held(config, config_key, programs.receiver, "receiver configuration").data)
                found[generation] = index.guardian_set_index, receiver
            except ProbekitError as error:
                found[generation] = error
        return found

    async def programs_present(self) -> dict[ProgramGeneration, bool]:
        """Which generations this cluster has, by their receivers' program accounts; some list the core one only."""
        ordered: list[Programs] = list(GENERATIONS.values())
        found = await self.solana.accounts([programs.receiver for programs in ordered])
        present: dict[ProgramGeneration, bool] = {}
        for programs, item in zip(ordered, found, strict=True):
            if isinstance(item, ProbekitError):
                raise item
            present[programs.generation] = item is not None and item.executable
        return present

    async def _owned(self, address: Pubkey, owner: Pubkey, what: str) -> Account:
        return _held(await self.solana.account(address), address, owner, what)

    async def _account(self, address: Pubkey, what: str) -> Account:
        found = await self.solana.account(address)
        if found is None:
            raise NotFound(f"no {what} at {address} on this cluster", subject=str(address))
        return found


def _in_force(
    generation: ProgramGeneration,
    known: tuple[int, ReceiverConfig] | ProbekitError,
    account: Account | ProbekitError | None,
) -> SetInForce | ProbekitError:
    if isinstance(known, ProbekitError):
        return known
    (index, config), programs = known, GENERATIONS[generation]
    try:
        held = _held(account, programs.guardian_set(index), programs.wormhole, f"guardian set {index}")
        decoded = decode_guardian_set(held.data)
        if decoded.index != index:
            raise DecodeError(f"the account of guardian set {index} holds set {decoded.index}", raw=held.data)
        return SetInForce(decoded, config, held.slot)
    except ProbekitError as error:
        return error


def _held(found: Account | ProbekitError | None, address: Pubkey, owner: Pubkey, what: str) -> Account:
    if isinstance(found, ProbekitError):
        raise found
    if found is None:
        raise NotFound(f"no {what} at {address} on this cluster", subject=str(address))
    if found.owner != owner:
        raise DecodeError(f"the {what} at {address} is owned by {found.owner}, not by {owner}", raw=found.data)
    return found


def _read(item: Account | ProbekitError | None, feed_id: FeedId, shard_id: int) -> PushFeedAccount | ProbekitError | None:
    if isinstance(item, ProbekitError) and not isinstance(item, DecodeError):
        return item
    return push_feed_read(item, feed_id, shard_id=shard_id)


def _unread(item: PushFeedAccount | ProbekitError | None) -> bool:
    """Whether the endpoint failed, which says nothing of what is on the chain."""
    return isinstance(item, ProbekitError) and not isinstance(item, DecodeError)


def _known(item: PushFeedAccount | ProbekitError | None) -> PushFeedRead:
    assert item is None or isinstance(item, PushFeedAccount | DecodeError)
    return item
