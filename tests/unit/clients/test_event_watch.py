"""Watching events over a chain that forks, against what a perfect observer would count."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probekit.clients.event_watch import EvmEventWatch, EvmRule
from probekit.clients.program_watch import EXPIRED_SLOTS, ProgramEventWatch, ProgramRule
from probekit.codecs.evm.conditions import Condition, NamedEvent
from probekit.errors import DecodeError, NotFound, NotServed, ProbekitError, RpcError, ServerError
from probekit.model.evm import Address, Block, Log
from probekit.model.pattern import PatternSlow
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Commitment, SignatureInfo, SignatureStatus, TransactionLogs
from probekit.units import Instant

AT = Instant.from_seconds(1_800_000_000)
TOKEN, OTHER = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
EVENT = NamedEvent.parse("Paid(address indexed to, uint256 value)")


class Chain:
    """Blocks as (hash, values of the events in it), with forks; a client of it that may fail or lie in known ways."""

    def __init__(self) -> None:
        self.blocks_: list[tuple[str, list[int]]] = []
        self.made = 0
        self.hidden = 0
        """Blocks at the end that a lagging endpoint answers without, for logs."""
        self.failing = False
        self.asked: list[tuple[int, int]] = []
        self.compared: list[int] = []
        self.address = TOKEN
        self.mine([])

    def mine(self, values: list[int]) -> None:
        self.made += 1
        self.blocks_.append((f"0x{self.made:064x}", values))

    def fork(self, depth: int, *branches: list[int]) -> None:
        del self.blocks_[max(len(self.blocks_) - depth, 1) :]
        for values in branches:
            self.mine(values)

    @property
    def head(self) -> int:
        return len(self.blocks_) - 1

    def truth(self, least: int, last: int) -> int:
        return sum(value > least for _, values in self.blocks_[: last + 1] for value in values)

    # -- the client ----------------------------------------------------------------------------------------------------------

    def made_block(self, number: int) -> Block | ProbekitError:
        if self.failing:
            raise ServerError("down", status=503)
        if number > self.head:
            return NotFound(f"no block {number}")
        return Block(number, self.blocks_[number][0], "", 1_800_000_000 + number, 1, 0)

    async def block(self, at: Any = "latest") -> Block:
        found = self.made_block(self.head if at == "latest" else at)
        if isinstance(found, ProbekitError):
            raise found
        return found

    async def blocks(self, numbers: Sequence[int]) -> list[Block | ProbekitError]:
        self.compared.append(len(numbers))
        return [self.made_block(number) for number in numbers]

    async def logs(self, *, from_block: int, to_block: int, address: Any, topics: Any) -> list[Log | DecodeError]:
        self.asked.append((from_block, to_block))
        found: list[Log | DecodeError] = []
        for number in range(from_block, min(to_block, self.head - self.hidden) + 1):
            hash_, values = self.blocks_[number]
            for index, value in enumerate(values):
                topics_, data = EVENT.event.encode(TOKEN, value)
                found.append(Log(self.address, topics_, data, number, hash_, f"0xt{hash_}", index))
        return found


def watch(chain: Chain, *where: str, address: Address | None = TOKEN, **options: Any) -> EvmEventWatch:
    conditions = tuple(Condition.parse(one, EVENT) for one in where or ("value > 10",))
    rule = EvmRule("big", EVENT, () if address is None else (address,), conditions)
    return EvmEventWatch(chain, "test", [rule], from_block=options.pop("from_block", 0), **options)  # type: ignore[arg-type]


async def until_abreast(one: EvmEventWatch) -> None:
    for _ in range(100):
        state = await one.look(AT)
        if state.last >= state.due:
            return
    raise AssertionError("it never gets there")


STEPS = st.one_of(
    st.lists(st.integers(0, 20), max_size=3).map(lambda values: ("mine", values)),
    st.tuples(st.just("fork"), st.integers(1, 8), st.lists(st.lists(st.integers(0, 20), max_size=2), min_size=1, max_size=9)),
    st.just(("look",)),
    st.just(("down",)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=40), st.integers(1, 3), st.integers(1, 50))
def test_whatever_is_mined_and_reorganised_it_counts_what_is_in_the_chain(
    steps: list[Any], confirmations: int, max_blocks: int
) -> None:
    async def run() -> None:
        chain = Chain()
        one = watch(chain, confirmations=confirmations, max_blocks=max_blocks)
        for step in steps:
            match step:
                case ("mine", values):
                    chain.mine(values)
                case ("fork", depth, branches):
                    # A fork that wins is longer than what it replaces.
                    chain.fork(depth, *branches, *([] for _ in range(max(depth + 1 - len(branches), 0))))
                case ("down",):
                    chain.failing = True
                    with pytest.raises(ServerError):
                        await one.look(AT)
                    chain.failing = False
                case _:
                    await one.look(AT)
        await until_abreast(one)
        sighting = one.sighting("big")
        assert sighting.standing == chain.truth(10, sighting.last)
        assert len(sighting.newest) == min(sighting.standing, 20)
        assert {one.block_hash for one in sighting.newest} <= {hash_ for hash_, _ in chain.blocks_}

    asyncio.run(run())


async def test_what_a_fork_takes_is_withdrawn_and_told() -> None:
    chain = Chain()
    one = watch(chain)
    chain.mine([50, 3])
    state = await one.look(AT)
    assert (state.last, state.reorganised) == (1, 0)
    (match,) = one.sighting("big").newest
    assert (match.args, match.log_index, match.block, match.event) == ({"to": str(TOKEN), "value": "50"}, 0, 1, "Paid")
    chain.fork(1, [], [60])
    later = Instant(AT.ns + 1)
    state = await one.look(later)
    assert (state.reorganised, state.depth) == (1, 2), "as far as it is known: nothing was remembered of block 0"
    sighting = one.sighting("big")
    assert [one.args["value"] for one in sighting.newest] == ["60"]
    assert [(one.args["value"], one.withdrawn_at) for one in sighting.withdrawn] == [("50", later)]
    assert sighting.withdrawn_count == 1
    assert sighting.standing == 1


async def test_a_match_told_from_a_fork_by_one_endpoint_of_several_is_taken_back() -> None:
    chain = Chain()
    one = watch(chain)
    for _ in range(5):
        chain.mine([])
    chain.mine([50])
    for _ in range(5):
        chain.mine([])
    await one.look(AT)
    # The newest block stays what it was; what was told of an older one came from elsewhere.
    chain.blocks_[6] = ("0x" + "ee" * 32, [])
    chain.mine([])
    await one.look(AT)
    assert (one.sighting("big").standing, len(one.sighting("big").withdrawn)) == (0, 1)
    quiet = len(chain.compared)
    for _ in range(30):
        chain.mine([])
        await one.look(AT)
    assert max(chain.compared[quiet:]) == 2


async def test_a_chain_that_became_shorter_says_nothing_yet() -> None:
    chain = Chain()
    one = watch(chain)
    chain.mine([])
    chain.mine([50])
    await one.look(AT)
    chain.fork(1)
    await one.look(AT)
    assert one.sighting("big").standing == 1, "an endpoint that is behind looks the same"
    chain.mine([])
    await one.look(AT)
    assert one.sighting("big").standing == 0
    assert len(one.sighting("big").withdrawn) == 1


async def test_an_endpoint_that_answers_with_a_shorter_list_costs_no_event() -> None:
    chain = Chain()
    one = watch(chain)
    chain.hidden = 3
    chain.mine([50])
    await one.look(AT)
    assert one.sighting("big").standing == 0
    chain.hidden = 0
    for _ in range(3):
        chain.mine([])
    await one.look(AT)
    assert one.sighting("big").standing == 1


async def test_a_gap_is_caught_up_in_steps_and_a_range_ends_for_good() -> None:
    chain = Chain()
    for number in range(100):
        chain.mine([number])
    one = watch(chain, from_block=11, to_block=60, max_blocks=20)
    states = [await one.look(AT) for _ in range(5)]
    assert [state.last for state in states] == [30, 50, 60, 60, 60]
    assert {state.due for state in states} == {60}
    sighting = one.sighting("big")
    assert (sighting.first, sighting.last, sighting.standing) == (11, 60, 49)
    assert all(last - first < 20 + 16 for first, last in chain.asked)
    assert sighting.first_time == Instant.from_seconds(1_800_000_011)
    assert sighting.last_time == Instant.from_seconds(1_800_000_060)


async def test_confirmations_hold_back_and_lookback_goes_back() -> None:
    chain = Chain()
    for value in (50, 60, 70, 80):
        chain.mine([value])
    one = watch(chain, from_block=None, lookback=2, confirmations=2)
    await one.look(AT)
    assert [match.args["value"] for match in one.sighting("big").newest] == ["60", "70"]


async def test_a_log_that_does_not_decode_counts_where_the_contract_is_named() -> None:
    wrong = NamedEvent.parse("Paid(address to, uint256 value)")
    chain = Chain()
    chain.mine([50])
    for addresses, unreadable in (((TOKEN,), 1), ((), 0), ((OTHER,), 0)):
        one = EvmEventWatch(chain, "test", [EvmRule("wrong", wrong, addresses)], from_block=0)  # type: ignore[arg-type]
        await one.look(AT)
        await one.look(AT)
        sighting = one.sighting("wrong")
        assert (sighting.unreadable, sighting.standing) == (unreadable, 0)
        assert sighting.unreadable_at == (AT if unreadable else None)
        assert sighting.unreadable_text.startswith("block 1 log 0: " if unreadable else "")


@pytest.mark.parametrize("depth", [3, 10, 29])
async def test_a_fork_below_all_that_is_compared_at_once(monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    monkeypatch.setattr("probekit.clients.event_watch._AT_ONCE", 4)
    chain = Chain()
    one = watch(chain)
    for value in range(11, 41):
        chain.mine([value])
        await one.look(AT)
    assert one.sighting("big").standing == 30
    chain.asked.clear()
    chain.compared.clear()
    await one.look(AT)
    assert sum(chain.compared) <= 2 + 4, "the newest two, and blocks with a match"
    chain.fork(depth, *([99] for _ in range(depth + 1)))
    state = await one.look(AT)
    assert state.depth == depth
    assert one.sighting("big").standing == 31 == chain.truth(10, chain.head)
    assert chain.asked[0][0] >= chain.head - depth - 16 - 1


async def test_a_log_that_is_none_is_counted_once_and_costs_no_other() -> None:
    class Broken(Chain):
        async def logs(self, **asked: Any) -> list[Log | DecodeError]:
            return [DecodeError("no log", raw="{}"), *await super().logs(**asked)]

    chain = Broken()
    chain.mine([50])
    one = watch(chain)
    await one.look(AT)
    await one.look(AT)
    assert (one.sighting("big").unreadable, one.sighting("big").standing) == (1, 1)


async def test_others_contracts_do_not_match() -> None:
    chain = Chain()
    chain.address = OTHER
    chain.mine([50])
    one = watch(chain)
    await one.look(AT)
    assert one.sighting("big").standing == 0
    anyone = watch(chain, address=None)
    await anyone.look(AT)
    assert anyone.sighting("big").standing == 1


async def test_the_last_that_were_seen_are_told_though_they_stand_in_older_blocks() -> None:
    chain = Chain()
    for _ in range(30):
        chain.mine([50])
    one = watch(chain)
    await one.look(AT)
    assert [match.block for match in one.sighting("big").newest] == list(range(11, 31))
    found = one._found["big"]
    found.add(msgspec.structs.replace(found.newest[0], block=3))
    assert [match.block for match in one.sighting("big").newest] == [3, *range(12, 31)]


async def test_what_a_range_has_is_due_though_it_is_not_made_yet() -> None:
    chain = Chain()
    one = watch(chain, from_block=0, to_block=9)
    state = await one.look(AT)
    assert (state.first, state.last, state.due, state.head) == (0, 0, 9, 0)
    later = watch(chain, from_block=5)
    state = await later.look(AT)
    assert state.nothing_looked_at
    assert later.sighting("big").nothing_looked_at


# -- Solana ------------------------------------------------------------------------------------------------------------------

PROGRAM = Pubkey(bytes([5]) * 32)


class Slots:
    """Transactions by slot, and a client of them."""

    def __init__(self) -> None:
        self.slot_ = 1_000
        self.rows: list[tuple[int, str, tuple[str, ...], object | None]] = []
        self.gone: set[str] = set()
        self.not_yet: set[str] = set()
        self.broken: set[str] = set()
        self.refused: set[str] = set()
        self.final = False
        self.oldest = 0
        self.failing: set[str] = set()
        self.finalised: int | None = None
        """The newest final slot, where it is not the newest of all."""
        self.forgotten = False
        """Whether the node's memory of statuses has gone past all of them, so that only its archive knows them."""
        self.asked: list[int] = []
        """How many statuses were asked for at once."""

    def land(self, name: str, *logs: str, slot: int | None = None, error: object | None = None) -> None:
        self.rows.append((self.slot_ if slot is None else slot, name, logs, error))

    async def slot(self, commitment: Commitment | None = None) -> int:
        return self.slot_ if commitment is not Commitment.FINALIZED or self.finalised is None else self.finalised

    async def oldest_slot(self) -> int:
        return self.oldest

    async def signature_pages(self, address: Any, *, commitment: Any) -> Any:
        rows = sorted((row for row in self.rows if row[1] not in self.gone), key=lambda row: -row[0])
        for start in range(0, len(rows), 2):
            yield tuple(SignatureInfo(name, slot, error) for slot, name, _, error in rows[start : start + 2])

    async def transaction_logs(self, signatures: Sequence[str], *, commitment: Any) -> list[Any]:
        known = {name: (slot, logs, error) for slot, name, logs, error in self.rows}

        def one(name: str) -> Any:
            if name in self.not_yet:
                return None
            if name in self.broken:
                return DecodeError("no logs were kept", raw="")
            if name in self.refused:
                return RpcError("Transaction version (1) is not supported by the requesting client", code=-32015)
            slot, logs, error = known[name]
            return TransactionLogs(name, slot, logs, error, Instant.from_seconds(1_800_000_000 + slot))

        return [one(name) for name in signatures]

    async def statuses(
        self, signatures: Sequence[str], *, history: bool = False
    ) -> list[SignatureStatus | ProbekitError | None]:
        self.asked.append(len(signatures))
        level = Commitment.FINALIZED if self.final else Commitment.CONFIRMED

        def one(name: str) -> SignatureStatus | ProbekitError | None:
            if name in self.failing:
                return ServerError("no archive", status=503)
            lost = name in self.gone or (self.forgotten and not history)
            return None if lost else SignatureStatus(name, 1, level)

        return [one(name) for name in signatures]


def program_watch(slots: Slots, *patterns: str, outcome: Any = "succeeded", **options: Any) -> ProgramEventWatch:
    rule = ProgramRule("refused", PROGRAM, patterns, outcome)
    return ProgramEventWatch(slots, "solana", [rule], **options)  # type: ignore[arg-type]


async def test_a_pattern_that_tries_for_ever_is_told_of_its_rule_and_holds_up_no_other() -> None:
    async def span(pattern: str, text: str) -> tuple[int, int] | None:
        if pattern == "(a+)+$":
            raise PatternSlow(pattern)
        return (0, 1) if pattern in text else None

    slots = Slots()
    slots.land("s1", "Program log: refused", slot=999)
    rules = [ProgramRule("slow", PROGRAM, ("(a+)+$",)), ProgramRule("refused", PROGRAM, ("refused",))]
    one = ProgramEventWatch(slots, "solana", rules, from_slot=992, span=span)  # type: ignore[arg-type]
    await one.look(AT)
    assert (one.sighting("refused").standing, one.sighting("refused").unreadable) == (1, 0)
    assert (one.sighting("slow").standing, one.sighting("slow").unreadable) == (0, 1)
    assert "could not be told within its bound" in one.sighting("slow").unreadable_text
    with pytest.raises(ValueError, match="is no regular expression"):
        ProgramRule("wrong", PROGRAM, ("(",))


async def test_each_transaction_is_counted_once_whatever_page_it_comes_on() -> None:
    slots = Slots()
    for number in range(7):
        slots.land(f"s{number}", "Program log: refused", f"line {number}", slot=990 + number)
    one = program_watch(slots, "refused", r"line [2-9]", from_slot=992)
    state = await one.look(AT)
    assert (state.last, state.due) == (1_000, 1_000)
    sighting = one.sighting("refused")
    assert [match.transaction for match in sighting.newest] == ["s2", "s3", "s4", "s5", "s6"]
    assert sighting.newest[0].args == {"log 0": "Program log: refused", "log 1": "line 2"}
    slots.slot_ = 1_010
    slots.land("late", "refused", "line 9", slot=998)
    await one.look(AT)
    await one.look(AT)
    assert one.sighting("refused").standing == 6, "one of a slot looked at before, told late"


async def test_outcomes_and_a_transaction_that_an_endpoint_has_not_yet() -> None:
    slots = Slots()
    slots.land("good", "refused")
    slots.land("bad", "refused", error={"InstructionError": [0, "Custom"]})
    slots.not_yet = {"bad"}
    failed = program_watch(slots, "refused", outcome="failed", from_slot=0)
    state = await failed.look(AT)
    assert state.last == 999
    slots.not_yet = set()
    assert (await failed.look(AT)).last == 1_000
    (match,) = failed.sighting("refused").newest
    assert match.transaction == "bad"
    assert "InstructionError" in match.args["error"]
    both = program_watch(slots, outcome="any", from_slot=0)
    await both.look(AT)
    assert both.sighting("refused").standing == 2


async def test_what_never_became_final_is_withdrawn_once_it_never_can() -> None:
    slots = Slots()
    slots.land("forked", "refused")
    one = program_watch(slots, "refused", from_slot=0)
    await one.look(AT)
    slots.gone = {"forked"}
    slots.slot_ += EXPIRED_SLOTS
    await one.look(AT)
    assert one.sighting("refused").standing == 1
    slots.slot_ += 1
    await one.look(AT)
    sighting = one.sighting("refused")
    assert (sighting.standing, len(sighting.withdrawn)) == (0, 1)


async def test_what_is_final_is_asked_after_no_more_and_logs_that_were_not_kept_are_told() -> None:
    slots = Slots()
    slots.land("kept", "refused")
    slots.land("lost")
    slots.broken = {"lost"}
    one = program_watch(slots, "refused", from_slot=0)
    await one.look(AT)
    assert one.sighting("refused").unreadable == 1
    slots.final = True
    await one.look(AT)
    slots.gone = {"kept"}
    slots.slot_ += 2 * EXPIRED_SLOTS
    await one.look(AT)
    assert one.sighting("refused").standing == 1


async def test_a_match_that_only_the_archive_knows_any_more_is_not_withdrawn() -> None:
    slots = Slots()
    slots.land("kept", "refused")
    one = program_watch(slots, "refused", from_slot=0)
    await one.look(AT)
    # The next look comes late: the node's memory of statuses, of 300 slots, has gone past it.
    slots.final = slots.forgotten = True
    slots.slot_ += EXPIRED_SLOTS + 1
    state = await one.look(AT)
    sighting = one.sighting("refused")
    assert (sighting.standing, sighting.withdrawn, state.reorganised) == (1, (), 0)
    asked = len(slots.asked)
    await one.look(AT)
    assert len(slots.asked) == asked, "it is final"


async def test_what_is_not_final_by_its_slot_is_not_asked_after_and_what_landed_final_never_is() -> None:
    slots = Slots()
    slots.finalised = 999
    slots.land("young", "refused")
    one = program_watch(slots, "refused", from_slot=0)
    await one.look(AT)
    await one.look(AT)
    assert slots.asked == []
    slots.finalised = 1_000
    await one.look(AT)
    assert slots.asked == [1]
    final = program_watch(slots, "refused", from_slot=0, commitment=Commitment.FINALIZED)
    await final.look(AT)
    await final.look(AT)
    assert final.sighting("refused").standing == 1
    assert slots.asked == [1]


async def test_statuses_that_cannot_be_had_hold_up_no_others_and_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probekit.clients.program_watch._SETTLED_AT_ONCE", 2)
    monkeypatch.setattr("probekit.clients.program_watch.MAX_UNSETTLED", 5)
    slots = Slots()
    for number in range(4):
        slots.land(f"s{number}", "refused")
    slots.final, slots.failing = True, {"s0", "s1"}
    one = program_watch(slots, "refused", from_slot=0)
    for _ in range(3):
        await one.look(AT)
    assert sorted(one._unsettled) == ["s0", "s1"]
    for number in range(4, 20):
        slots.land(f"s{number}", "refused")
    await one.look(AT)
    assert len(one._unsettled) <= 5 >= len(one._matched)
    assert one.sighting("refused").standing == 20


async def test_logs_that_were_cut_off_may_have_matched() -> None:
    slots = Slots()
    slots.land("whole", "Program log: fine")
    slots.land("cut", "Program log: fine", "Log truncated")
    slots.land("failed", "Program log: fine", "Log truncated", error="x")
    slots.land("said", "Program log: Log truncated")
    slots.land("found", "refused", "Log truncated")
    one = program_watch(slots, "refused", from_slot=0)
    await one.look(AT)
    await one.look(AT)
    sighting = one.sighting("refused")
    assert (sighting.standing, sighting.unreadable, sighting.unreadable_at) == (1, 1, AT)
    assert sighting.unreadable_text == "cut in slot 1000: its logs are truncated"


async def test_a_range_that_begins_before_what_the_node_has_is_a_gap() -> None:
    slots = Slots()
    slots.oldest = 990
    slots.land("kept", "refused", slot=995)
    one = program_watch(slots, "refused", from_slot=900)
    state = await one.look(AT)
    assert state.gap == one.sighting("refused").gap == "the node has no slot before 990: 900 to 989 were not looked at"
    assert one.sighting("refused").standing == 1
    whole = program_watch(slots, "refused", from_slot=990)
    assert (await whole.look(AT)).gap_at is None
    # A node that forgets as it goes has what comes.
    slots.oldest, slots.slot_ = 1_990, 2_000
    assert (await whole.look(AT)).gap_at is None
    # After a long outage it has not: what was dropped meanwhile nobody has looked at.
    slots.oldest, slots.slot_, later = 4_000, 5_000, AT.plus(timedelta(hours=1))
    state = await whole.look(later)
    assert state.gap == "the node has no slot before 4000: 2001 to 3999 were not looked at"
    assert (state.last, state.gap_at, whole.sighting("refused").gap_at) == (5_000, later, later)


async def test_a_node_that_does_not_say_what_it_has_is_no_fault_of_what_begins_now() -> None:
    class Mute(Slots):
        async def oldest_slot(self) -> int:
            raise NotServed("Method not found", code=-32601)

    slots = Mute()
    one = program_watch(slots, "refused")
    for slots.slot_ in (1_000, 1_010, 1_020):
        state = await one.look(AT)
    assert (state.last, state.gap_at) == (1_020, None)
    # Whether it has kept what a long outage left is not known, and what comes is looked at all the same.
    slots.slot_ = 9_000
    state = await one.look(AT)
    assert (state.last, state.gap_at) == (9_000, AT)
    assert state.gap == "whether the node has all slots from 1021 on is not known: Method not found"


async def test_a_transaction_that_does_not_read_is_asked_for_again_and_no_other_counted_twice() -> None:
    slots = Slots()
    slots.land("garbled", "refused", slot=995)
    slots.land("never", "refused", slot=996)
    for number in range(3):
        slots.land(f"s{number}", "refused", slot=996 + number)
    slots.broken = {"garbled", "never"}
    one = program_watch(slots, "refused", from_slot=990)
    await one.look(AT)
    found = one.sighting("refused")
    assert (found.standing, found.unreadable) == (3, 2)
    # However far apart the looks are.
    slots.slot_ += 900
    await one.look(AT)
    slots.broken, slots.slot_ = {"never"}, slots.slot_ + 900
    await one.look(AT)
    for _ in range(3):
        slots.slot_ += 900
        assert (await one.look(AT)).last == slots.slot_
    found = one.sighting("refused")
    assert (found.standing, found.unreadable) == (4, 2)
    # What did not read for so long is asked for no more.
    slots.broken.clear()
    slots.slot_ += 10
    await one.look(AT)
    assert one.sighting("refused").standing == 4


async def test_a_transaction_of_a_version_to_come_costs_no_other() -> None:
    slots = Slots()
    slots.land("new")
    slots.land("old", "refused")
    slots.refused = {"new"}
    one = program_watch(slots, "refused", from_slot=0)
    state = await one.look(AT)
    sighting = one.sighting("refused")
    assert (state.last, sighting.standing, sighting.unreadable) == (1_000, 1, 1)
    assert "version (1)" in sighting.unreadable_text


async def test_more_than_can_be_read_is_a_gap_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probekit.clients.program_watch.MAX_SIGNATURES", 4)
    slots = Slots()
    for number in range(9):
        slots.land(f"s{number}", "refused", slot=900 + number)
    one = program_watch(slots, "refused", from_slot=0)
    state = await one.look(AT)
    sighting = one.sighting("refused")
    assert sighting.gap_at == AT == state.gap_at
    assert state.gap == sighting.gap
    assert "more than 4 transactions" in sighting.gap
    assert sighting.standing == 4
