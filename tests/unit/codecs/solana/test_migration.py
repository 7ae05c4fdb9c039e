"""Which of a feed's two accounts to read, and why."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import DecodeError
from probekit.model import FeedId, PriceMessage
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import (
    FULL,
    FeedMigration,
    PriceUpdateAccount,
    ProgramGeneration,
    PushFeedAccount,
    PushFeedRead,
    VerificationLevel,
)
from probekit.units import Instant

FEED = FeedId("ab" * 32)
NOW = Instant.from_seconds(1_000)
CORE, PRO = ProgramGeneration.CORE, ProgramGeneration.PRO
BROKEN = DecodeError("cut short", raw=b"x")


def push(
    generation: ProgramGeneration,
    *,
    published: int = 995,
    price: int = 100,
    expo: int = 0,
    level: VerificationLevel = FULL,
    feed: str = FEED,
) -> PushFeedAccount:
    key = Pubkey(generation.value.ljust(32).encode())
    message = PriceMessage(feed, price, 1, expo, published, published - 1, price, 1)
    return PushFeedAccount(key, generation, 0, 7, PriceUpdateAccount(key, level, message, 6))


def judge(core: PushFeedRead, pro: PushFeedRead) -> FeedMigration:
    return FeedMigration.judge(FEED, core, pro, at=NOW, max_age=timedelta(seconds=60))


def test_both_fit_is_pro_even_where_core_is_fresher() -> None:
    told = judge(push(CORE, published=999), push(PRO, published=990))
    assert (told.read, told.fresher, told.fresher_reason) == (PRO, CORE, "published 9 s later")
    assert told.read_reason == "both are fit: new readers take pro, those on the core account may stay"


@pytest.mark.parametrize(
    ("pro", "reason"),
    [
        (None, "pro: no account"),
        (BROKEN, "pro: undecodable (cut short)"),
        (push(PRO, published=939), "pro: 1m01s old"),
        (push(PRO, level=VerificationLevel(3)), "pro: verified only partial(3), full wanted"),
        (push(PRO, feed="cd" * 32), "pro: holds feed cdcdcdcd..dcdcdcd"),
    ],
)
def test_an_unfit_pro_account_leaves_core(pro: PushFeedRead, reason: str) -> None:
    told = judge(push(CORE), pro)
    assert (told.read, told.read_reason) == (CORE, f"the only one fit; {reason}")
    mirrored = judge(None, push(PRO))
    assert (mirrored.read, mirrored.read_reason) == (PRO, "the only one fit; core: no account")


def test_the_limit_of_age_still_counts() -> None:
    assert judge(None, push(PRO, published=940)).read is PRO
    assert judge(None, push(PRO, published=939)).read is None


def test_neither_fit_names_both_reasons() -> None:
    told = judge(None, BROKEN)
    assert (told.read, told.fresher) == (None, None)
    assert told.read_reason == "neither is fit; core: no account; pro: undecodable (cut short)"
    assert told.fresher_reason == "neither address has a price"


def test_which_is_fresher() -> None:
    assert judge(push(CORE), push(PRO)).fresher is None
    assert judge(push(CORE), push(PRO, published=996)).fresher is PRO
    assert judge(push(CORE), None).fresher is CORE
    assert judge(BROKEN, push(PRO)).fresher is PRO


def test_a_contradiction_is_another_price_at_the_same_time() -> None:
    assert judge(push(CORE), push(PRO, price=101)).contradicts
    assert not judge(push(CORE), push(PRO, price=101, published=996)).contradicts
    assert not judge(push(CORE), push(PRO)).contradicts
    assert not judge(push(CORE), None).contradicts


def test_a_partial_level_is_fit_where_it_is_enough() -> None:
    told = FeedMigration.judge(
        FEED,
        push(CORE, level=VerificationLevel(2)),
        push(PRO, level=VerificationLevel(3)),
        at=NOW,
        max_age=timedelta(seconds=60),
        level=VerificationLevel(3),
    )
    assert (told.read, told.read_reason) == (PRO, "the only one fit; core: verified only partial(2), partial(3) wanted")


times = st.none() | st.integers(-(2**63), 2**63 - 1)


@given(times, times, st.sampled_from([FULL, VerificationLevel(1)]), st.integers(0, 10**6))
def test_what_is_to_be_read_is_always_fit(core: int | None, pro: int | None, level: VerificationLevel, age: int) -> None:
    accounts = {
        CORE: None if core is None else push(CORE, published=core, level=level),
        PRO: None if pro is None else push(PRO, published=pro),
    }
    told = FeedMigration.judge(FEED, accounts[CORE], accounts[PRO], at=NOW, max_age=timedelta(seconds=age))
    assert told.read_reason
    assert told.fresher_reason
    if told.read is not None:
        chosen = accounts[told.read]
        assert chosen is not None
        assert chosen.update.message.publish_time + age >= NOW.seconds
        assert chosen.update.level == FULL
    else:
        assert all(
            one is None or one.update.message.publish_time + age < NOW.seconds or one.update.level != FULL
            for one in accounts.values()
        )
