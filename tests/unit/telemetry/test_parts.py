"""Verdicts of many parts: counted by check and status, one record for each that is not OK, no series for any."""

from __future__ import annotations

import time

from probekit.model import Evidence, Status, Tally, TargetResult, Verdict
from probekit.runner.encode import decode_run, encode_run
from probekit.telemetry import names
from probekit.telemetry.measure import RunMeter
from probekit.telemetry.slots import Slots
from probekit.telemetry.spans import VerdictLog, resource_of
from tests.unit.telemetry.builders import BTC, NOW, run


def offline(*scopes: str, ok: int = 28, skipped: int = 0) -> Verdict:
    parts = tuple(
        Verdict("publisher_offline", Status.CRITICAL, "offline", f"{scope} quoted 31 slots ago", 31, 25, "slots", scope)
        for scope in scopes
    )
    status = Status.CRITICAL if parts else Status.OK
    tally = Tally(ok=ok, critical=len(parts), skipped=skipped)
    return Verdict("publisher_offline", status, "offline" if parts else "publishing", "...", tally=tally, parts=parts)


def recorded(meter: RunMeter, verdict: Verdict) -> None:
    meter.record(run(TargetResult(BTC, (verdict,), NOW, Evidence(error="why"))))


def counts(slots: Slots) -> dict[str, float]:
    return {str(key[-1]): slot.value for key, slot in slots.gauge(names.PARTS).series.items() if slot.value is not None}


def test_parts_are_counted_by_check_and_status_and_none_has_a_series() -> None:
    slots = Slots(clock_ns=time.time_ns)
    meter = RunMeter(slots)
    recorded(meter, offline("alice", "bob", skipped=3))
    assert counts(slots) == {"ok": 28, "critical": 2, "skipped": 3}
    recorded(meter, offline(ok=33))
    # What occurred once goes back to zero, and stays to be seen.
    assert counts(slots) == {"ok": 33, "critical": 0, "skipped": 0}
    states = slots.state(names.VERDICT_STATUS).series
    assert [(key[2], key[3], slot.value) for key, slot in states.items()] == [("publisher_offline", "", Status.OK)]
    told = {key[-1]: slot.value for key, slot in slots.counter(names.VERDICTS).series.items() if slot.value}
    assert told == {Status.OK: 61, Status.CRITICAL: 2, Status.SKIPPED: 3}
    recorded(meter, Verdict("observation", Status.CRITICAL, "missing", "gone"))
    assert counts(slots) == {}, "what is not judged any more is not there"


def test_each_part_that_is_not_ok_has_a_record_with_its_scope_and_the_whole_has_the_evidence() -> None:
    made = run(TargetResult(BTC, (offline("alice", "bob"),), NOW, Evidence(error="why")))
    log = VerdictLog(resource_of({}))
    records = [one.log_record.attributes or {} for one in log.records(made, sampled=True)]
    assert [one.get("source") for one in records] == [None, "alice", "bob"]
    assert ["probekit.evidence" in one for one in records] == [True, False, False]
    assert {one["probekit.reason"] for one in records} == {"offline"}
    assert list(log.records(run(TargetResult(BTC, (offline(ok=30),), NOW)), sampled=True)) == []


def test_parts_survive_the_json_of_a_run() -> None:
    made = run(TargetResult(BTC, (offline("alice", skipped=1),), NOW))
    read = decode_run(encode_run(made)).results[0].verdicts[0]
    assert read == made.results[0].verdicts[0]
    assert read.tally is not None
    assert read.tally.total == 30
