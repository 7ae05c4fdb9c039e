"""Rules over feeds and sheets of quotes: each at its edge, whom it names, whom it cannot judge, and limits of one's own."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.checks import (
    AggregateConfidence,
    AggregateDeviation,
    ConfidenceRatio,
    Deviation,
    FeedOffline,
    PublisherConfidence,
    PublisherMargin,
    PublisherOffline,
    PublisherPrice,
    PublisherWithinConfidence,
)
from probekit.errors import ConnectError
from probekit.model import MarketSession, Status, Tally
from probekit.model.pubkey import Pubkey
from probekit.units import Bps
from tests.unit.checks.builders import NOW, update
from tests.unit.checks.sheets import Said, judged, parts, publisher, seen, sheet

S = timedelta(seconds=1)
OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED
CLOSED = MarketSession(False, None, None)


def opened(ago: timedelta) -> MarketSession:
    return MarketSession(True, NOW.plus(-ago), None)


# -- the feed ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (0, (OK, "aggregating")),
        (119, (OK, "aggregating")),
        (120, (CRITICAL, "offline")),
        (1_000, (CRITICAL, "offline")),
        (1_001, (CRITICAL, "abandoned")),
    ],
)
def test_a_feed_is_offline_from_its_limit_and_abandoned_beyond_the_second(behind: int, expected: tuple[Status, str]) -> None:
    verdict = judged(FeedOffline(120, 1_000), sheet(last_behind=behind))
    assert (verdict.status, verdict.reason) == expected
    assert (verdict.value, verdict.limit, verdict.unit) == (behind, 120, "slots")
    warned = judged(FeedOffline(120, 1_000, abandoned_warns=True), sheet(last_behind=behind))
    assert warned.status is (WARNING if expected[1] == "abandoned" else expected[0])


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (opened(60 * S), (SKIPPED, "market_opening")),
        (opened(61 * S), (CRITICAL, "offline")),
        (CLOSED, (SKIPPED, "market_closed")),
        (MarketSession(True, None, None), (CRITICAL, "offline")),
        (None, (CRITICAL, "offline")),
    ],
)
def test_hours_and_the_grace_of_an_opening(session: MarketSession | None, expected: tuple[Status, str]) -> None:
    verdict = judged(FeedOffline(), sheet(last_behind=500, session=session))
    assert (verdict.status, verdict.reason) == expected
    late = sheet(Said(behind=500), Said(), session=session)
    offline = judged(PublisherOffline(), late)
    if session is CLOSED:
        assert offline.tally == Tally(skipped=2)
        assert offline.reason == "market_closed"
    elif expected[0] is SKIPPED:
        assert (offline.status, offline.tally) == (OK, Tally(ok=1, skipped=1))
    else:
        assert parts(offline) == {"p0": (CRITICAL, "offline")}


def test_a_grace_in_which_everybody_is_late_is_no_pass() -> None:
    verdict = judged(PublisherOffline(), sheet(Said(behind=500), session=opened(S)))
    assert (verdict.status, verdict.reason, verdict.tally) == (SKIPPED, "market_opening", Tally(skipped=1))


@pytest.mark.parametrize(
    ("quoters", "expected"),
    [(2, (CRITICAL, "below_minimum")), (3, (WARNING, "thin_margin")), (4, (OK, "enough_publishers"))],
)
def test_the_margin_of_publishers(quoters: int, expected: tuple[Status, str]) -> None:
    verdict = judged(PublisherMargin(), sheet(num_quoters=quoters))
    assert (verdict.status, verdict.reason) == expected
    assert verdict.measures[0].value == quoters - 3


EVERY = (
    FeedOffline(), PublisherMargin(), PublisherOffline(), PublisherPrice(), PublisherWithinConfidence(), PublisherConfidence(),
    AggregateConfidence(ConfidenceRatio()),
)  # fmt: skip


@pytest.mark.parametrize("check", EVERY, ids=lambda check: str(check.name))
def test_a_feed_not_yet_in_production_is_skipped_by_every_check(check: Any) -> None:
    bad = (Said(price=5, conf=0, behind=700), Said(behind=-1))
    announced: tuple[dict[str, Any], ...] = ({"min_publishers": 10}, {"min_publishers": 255}, {"version": 1})
    for fields in announced:
        verdict = judged(check, sheet(*bad, last_behind=700, **fields))
        assert (verdict.status, verdict.reason) == (SKIPPED, "not_in_production")
        assert verdict.tally in (None, Tally(skipped=2))
    assert judged(check, sheet(*bad, last_behind=700, min_publishers=9)).reason != "not_in_production"


@pytest.mark.parametrize("check", [FeedOffline(), PublisherMargin(), PublisherOffline()])
def test_a_schedule_that_does_not_parse_is_unknown(check: Any) -> None:
    verdict = judged(check, sheet(Said(), hours_error="a week has 7 days"))
    assert (verdict.status, verdict.reason) == (UNKNOWN, "schedule_unreadable")


def test_a_price_is_judged_while_it_trades() -> None:
    narrow = AggregateConfidence(ConfidenceRatio(Bps(Decimal(200)), None, Bps(Decimal(0))))
    assert narrow.name == "confidence_ratio"
    assert judged(narrow, sheet()).reason == "narrow"
    assert judged(narrow, sheet(conf=0)).reason == "narrow_confidence"
    assert judged(narrow, sheet(conf=30_000)).reason == "wide_confidence"
    assert judged(narrow, sheet(price=-1_000_000)).reason == "narrow"
    assert judged(narrow, sheet(status=2)).reason == "not_trading"
    # Trading by the account's word, and older than its own limit.
    assert judged(narrow, sheet(behind=26)).reason == "not_trading"


def test_deviation_from_a_reference_in_bps_and_in_confidence_intervals() -> None:
    rule = Deviation(Bps(Decimal(500)), "pythnet", "reference", max_confs=Decimal(20))
    check = AggregateDeviation(rule)

    def against(other: int, **fields: Any) -> Any:
        reference = update(price=other, conf=0)
        return judged(check, msgspec.structs.replace(sheet(**fields), reference=reference))

    assert against(1_000_000).reason == "near"
    found = against(998_001)
    assert (found.status, found.reason, found.unit) == (OK, "near", "bps")
    assert [(one.name, one.value) for one in found.measures][1] == ("feed.deviation.conf", Decimal("19.99"))
    found = against(997_999)
    assert (found.status, found.reason, found.value) == (WARNING, "outside_confidence", Decimal("20.01"))
    assert against(900_000).reason == "deviating"
    # Percent and fractions are not to be mixed up: 300 % away is beyond 5 %.
    assert against(250_000).status is CRITICAL
    assert against(-1_000_000, price=-1_000_000).reason == "near"
    assert against(-900_000, price=-1_000_000).reason == "deviating"
    assert against(1, conf=0).status is CRITICAL
    gone = msgspec.structs.replace(sheet(), reference_error=ConnectError("refused"))
    assert judged(check, gone).reason == "no_reference"


# -- publishers --------------------------------------------------------------------------------------------------------------


def test_a_publisher_is_offline_abandoned_or_never_came() -> None:
    verdict = judged(PublisherOffline(25, 1_000), sheet(Said(behind=24), Said(behind=25), Said(behind=1_001), Said(behind=-1)))
    assert parts(verdict) == {"p1": (CRITICAL, "offline"), "p2": (CRITICAL, "abandoned"), "p3": (CRITICAL, "abandoned")}
    assert verdict.message.startswith("3 of 4: p1 quoted 25 slots ago, limit 25")
    assert [part.scope for part in verdict.parts] == [str(Pubkey(publisher(number))) for number in (1, 2, 3)]
    assert verdict.tally == Tally(ok=1, critical=3)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_price_beyond_its_own_confidence(sign: int) -> None:
    check = PublisherPrice(Bps(Decimal(500)))
    edge, beyond, covered = Said(sign * 1_050_100), Said(sign * 1_050_101), Said(sign * 2_000_000, conf=1_000_000)
    verdict = judged(check, sheet(edge, beyond, covered, Said(0), Said(-sign * 1_000_000), price=sign * 1_000_000))
    assert parts(verdict) == dict.fromkeys(("p1", "p3", "p4"), (CRITICAL, "off_price"))


def test_an_aggregate_of_zero_has_no_bps() -> None:
    verdict = judged(PublisherPrice(), sheet(Said(50), Said(-100), Said(101), price=0))
    assert parts(verdict) == {"p2": (UNKNOWN, "zero_aggregate")}
    verdict = judged(PublisherWithinConfidence(Decimal(2)), sheet(Said(50), Said(-100), Said(201), price=0))
    assert parts(verdict) == {"p2": (WARNING, "outside_confidence")}


def test_distance_in_confidence_intervals() -> None:
    check = PublisherWithinConfidence(Decimal("1.5"))
    verdict = judged(check, sheet(Said(1_000_149), Said(1_000_150), Said(999_850), Said(5, conf=0)))
    assert parts(verdict) == {"p1": (WARNING, "outside_confidence"), "p2": (WARNING, "outside_confidence")}
    assert verdict.tally == Tally(ok=1, warning=2, skipped=1)


def test_confidences_that_do_not_count() -> None:
    said = (Said(conf=0), Said(), Said(conf=400_000, status=4), Said(conf=400_000, status=4, behind=99), Said(conf=0, status=0))
    verdict = judged(PublisherConfidence(), sheet(*said))
    assert parts(verdict) == {"p0": (WARNING, "narrow_confidence"), "p2": (WARNING, "ignored_quote")}
    assert verdict.tally == Tally(ok=1, warning=2, skipped=2)
    limits = PublisherConfidence(Bps(Decimal(1)), Bps(Decimal(10)))
    verdict = judged(limits, sheet(Said(conf=100), Said(conf=101), Said(conf=1_000), Said(conf=1_001)))
    assert parts(verdict) == {"p0": (WARNING, "narrow_confidence"), "p3": (WARNING, "wide_confidence")}


@pytest.mark.parametrize("check", [PublisherPrice(), PublisherWithinConfidence()])
@pytest.mark.parametrize("fields", [{"status": 2}, {"behind": 26}])
def test_quotes_cannot_be_held_against_an_aggregate_that_does_not_trade(check: Any, fields: dict[str, Any]) -> None:
    verdict = judged(check, sheet(Said(5), Said(behind=27), **fields))
    assert (verdict.status, verdict.reason, verdict.tally) == (SKIPPED, "not_trading", Tally(skipped=2))


def test_the_feeds_own_latency_limit_says_which_quotes_are_compared() -> None:
    far = (Said(5, behind=26), Said(5, behind=40), Said(5, behind=41))
    assert judged(PublisherPrice(), sheet(*far)).tally == Tally(skipped=3)
    assert judged(PublisherPrice(), sheet(*far, max_latency=40)).tally == Tally(critical=2, skipped=1)
    within = PublisherWithinConfidence(Decimal(2))
    assert judged(within, sheet(*far)).tally == Tally(skipped=3)
    assert judged(within, sheet(*far, max_latency=40)).tally == Tally(warning=2, skipped=1)


quotes = st.builds(
    Said,
    st.sampled_from([0, 1, -1_000_000, 999_000, 1_000_000, 1_050_100, 1_050_101, 2**63 - 1, -(2**63)])
    | st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 100, 400_000]) | st.integers(0, 2**64 - 1),
    st.sampled_from([0, 1, 1, 1, 4]),
    st.sampled_from([-1, 0, 1, 24, 25, 26, 10_000, 10_001]),
)  # fmt: skip


@given(
    st.lists(quotes, max_size=8),
    st.sampled_from([0, 1, -1, 1_000_000, -1_000_000, 2**63 - 1]),
    st.sampled_from([0, 1, 100]),
    st.sampled_from([
        (PublisherOffline, {}), (PublisherPrice, {}), (PublisherWithinConfidence, {}), (PublisherConfidence, {}),
        (PublisherConfidence, {"min_ratio": Bps(Decimal(3)), "max_ratio": Bps(Decimal(9))}),
    ]),
)  # fmt: skip
def test_what_is_settled_at_once_is_what_each_alone_would_say(
    said: list[Said], price: int, conf: int, kind: tuple[Any, dict[str, Any]]
) -> None:
    """Limits of one's own that are everybody's change nothing, and make the check ask of each publisher alone."""
    check = kind[0](**kind[1])
    of_each = tuple((Pubkey(publisher(number)), check) for number in range(len(said)))
    page = sheet(*said, price=price, conf=conf)
    assert judged(kind[0](**kind[1], per_publisher=of_each), page) == judged(check, page)


def test_limits_of_ones_own() -> None:
    own = ((Pubkey(publisher(1)), PublisherOffline(100)),)
    page = sheet(Said(behind=50), Said(behind=50), Said(behind=1))
    assert parts(judged(PublisherOffline(per_publisher=own), page)) == {"p0": (CRITICAL, "offline")}
    strict = ((Pubkey(publisher(2)), PublisherPrice(Bps(Decimal("0.001")))),)
    page = sheet(Said(1_000_200), Said(1_000_200), Said(1_000_200))
    assert parts(judged(PublisherPrice(per_publisher=strict), page)) == {"p2": (CRITICAL, "off_price")}


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (FeedOffline, {"max_slots": 0}, "max_slots must be positive"),
        (FeedOffline, {"max_slots": 9, "abandoned_slots": 9}, "abandoned_slots must be above max_slots, not 9 against 9"),
        (PublisherOffline, {"abandoned_slots": 25}, "above max_slots"),
        (PublisherOffline, {"open_grace": -S}, "open_grace"),
        (PublisherMargin, {"min_margin": -1}, "min_margin"),
        (PublisherPrice, {"max_distance": Bps(Decimal(0))}, "max_distance"),
        (PublisherWithinConfidence, {"max_confs": Decimal("NaN")}, "max_confs"),
        (PublisherConfidence, {"min_ratio": Bps(Decimal(5)), "max_ratio": Bps(Decimal(5))}, "max_ratio must be above"),
        (ConfidenceRatio, {"min_ratio": Bps(Decimal(200))}, "min_ratio"),
        (Deviation, {"max_deviation": Bps(Decimal(5)), "subject": "a", "reference": "b", "max_confs": Decimal(0)}, "max_confs"),
    ],
)
def test_limits_that_make_no_sense_are_refused(kind: Any, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kind(**fields)


def test_all_wrong_limits_of_a_check_are_told_at_once() -> None:
    with pytest.raises(ValueError, match="max_slots .*; abandoned_slots .*; open_grace"):
        FeedOffline(0, -1, -S)


def test_an_observation_is_not_changed_by_being_judged() -> None:
    page = sheet(Said(), Said(5))
    before = msgspec.json.encode(page, enc_hook=repr)
    PublisherPrice()(seen(page), now=NOW)
    assert msgspec.json.encode(page, enc_hook=repr) == before
