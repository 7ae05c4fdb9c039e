"""Manifests: every fault in one pass, positioned; values with their units; origins; discovery."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import ConfigError
from probekit.manifest import Manifest, describe, find_probe, list_probes, load_probe, read_manifest
from probekit.manifest.discovery import catalogue, search_path, source_digest
from probekit.manifest.options import type_text, value_text
from probekit.model import FeedId
from probekit.probe import Options, Probe, doc
from probekit.secret import Secret
from probekit.units import Bps, ByteSize


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    index: int
    names: tuple[str, ...] = ()


class Opts(Options, frozen=True, kw_only=True):
    feeds: Annotated[tuple[str, ...], doc("what to watch")]
    max_age: Annotated[timedelta, doc("age at which a price is stale")] = timedelta(seconds=10)
    warn_age: timedelta | None = None
    by_class: dict[str, timedelta] = {}
    max_conf: Bps = Bps(Decimal(200))
    body: ByteSize = ByteSize(1000)
    ids: tuple[FeedId, ...] = ()
    api_key: Secret | None = None
    network: Literal["mainnet", "beta"] = "mainnet"
    colour: Colour = Colour.RED
    ratio: Decimal = Decimal(1)
    strict: bool = False
    count: int = 3
    sets: tuple[Inner, ...] = ()

    def __post_init__(self) -> None:
        if self.warn_age is not None and self.warn_age >= self.max_age:
            raise ValueError("warn_age must be below max_age")


nothing: Any = None
"""Reading a manifest runs nothing of a probe."""

PROBE: Probe[Opts] = Probe.poll(
    name="p", question="q?", options=Opts, targets=nothing, observe=nothing, checks=lambda options, target: []
)


def read(tmp_path: Path, text: str, **overrides: str) -> Manifest[Opts]:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    return read_manifest(PROBE, path, overrides)


def problems(tmp_path: Path, text: str, **overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, **overrides)
    return [one.replace(str(tmp_path) + "/", "") for one in caught.value.problems]


GOOD = """\
probe: p
name: eu-majors
interval: 5s
deadline: 2s
vantage: {region: eu-west-1, provider: hetzner}
connectivity: ["1.1.1.1:53"]
options:
  feeds: [Crypto.BTC/USD]
  max_age: 1m30s
  warn_age: 5s
  by_class: {fx: 30s}
  max_conf: 0.5%
  body: 64kB
  ids: [0xE62DF6C8B4A85FE1A67DB44DC12DE5DB330F7AC66B72DC658AFEDF0F4A415B43]
  api_key: env:PK_TEST_KEY
  network: beta
  colour: blue
  ratio: "1.5"
  strict: true
  sets:
    - {index: 1, names: [a, b]}
"""


def test_every_type_is_read_with_its_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PK_TEST_KEY", "k3y-value")
    manifest = read(tmp_path, GOOD.replace("0xE62D", '"0xE62D').replace("5B43]", '5B43"]'))
    options = manifest.options
    assert manifest.name == "eu-majors"
    assert (manifest.interval, manifest.deadline) == (timedelta(seconds=5), timedelta(seconds=2))
    assert manifest.vantage == {"region": "eu-west-1", "provider": "hetzner"}
    assert manifest.connectivity == ("1.1.1.1:53",)
    assert options.max_age == timedelta(seconds=90)
    assert options.by_class == {"fx": timedelta(seconds=30)}
    assert (options.max_conf, options.body) == (Bps(Decimal(50)), ByteSize(64_000))
    assert options.ids[0].startswith("e62df6c8")
    assert options.api_key is not None
    assert options.api_key.reveal() == "k3y-value"
    assert (options.colour, options.ratio, options.strict) == (Colour.BLUE, Decimal("1.5"), True)
    assert options.sets == (Inner(1, ("a", "b")),)
    assert manifest.origins["max_age"].source.endswith("p.yaml:9")
    assert manifest.origins["count"].source == "default"
    assert "k3y-value" not in str(manifest.origins)


def test_all_faults_come_in_one_pass_with_position_and_nearest_key(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
probe: q
intervall: 5s
vantage: {regoin: eu, host: 5}
connectivity: [nowhere]
options:
  feeds: Crypto.BTC/USD
  max_aeg: 10s
  warn_age: 5
  network: mainet
  by_class: {fx: soon}
  sets:
    - {index: one}
  count: many
  max_conf: 200
""",
    )
    assert found == [
        "p.yaml:1:1 probe: this manifest is for 'q', not for 'p'",
        "p.yaml:2:1 intervall: unknown key; did you mean 'interval'?",
        "p.yaml:3:11 vantage.regoin: unknown key; did you mean 'region'?",
        'p.yaml:3:23 vantage.host: YAML reads 5 as a number, and this is text; quote it: "5"',
        "p.yaml:4:16 connectivity[0]: 'nowhere' is not host:port",
        "p.yaml:6:3 options.feeds: expected list of text, got 'Crypto.BTC/USD'",
        "p.yaml:7:3 options.max_aeg: unknown key; did you mean 'max_age'?",
        "p.yaml:8:3 options.warn_age: 5 has no unit; write a duration as 500ms, 10s or 1m30s",
        "p.yaml:9:3 options.network: expected one of mainnet, beta, got 'mainet'; did you mean 'mainnet'?",
        "p.yaml:10:14 options.by_class.fx: 'soon' is not a duration; write it with its unit, as 500ms, 10s or 1m30s",
        "p.yaml:12:8 options.sets[0].index: expected whole number, got 'one'",
        "p.yaml:13:3 options.count: expected whole number, got 'many'",
        "p.yaml:14:3 options.max_conf: 200 has no unit; write a ratio as 50bps or 0.5%",
    ]


def test_a_missing_option_and_an_invariant(tmp_path: Path) -> None:
    assert problems(tmp_path, "options: {count: 1}") == ["p.yaml:1:1 options.feeds: missing; expected list of text"]
    found = problems(tmp_path, "options:\n  feeds: []\n  warn_age: 20s\n")
    assert found == ["p.yaml:3:3 options.warn_age: warn_age must be below max_age"]


def test_a_deadline_above_the_interval_is_named_with_both(tmp_path: Path) -> None:
    found = problems(tmp_path, "interval: 1s\ndeadline: 2s\noptions: {feeds: []}\n")
    assert found == [
        "p.yaml:2:1 deadline: the deadline 2.0s is longer than the interval 1.0s; raise the interval or lower the deadline"
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("options: [1", "not YAML"),
        ("- a\n- b\n", "expected a mapping"),
        ("options: {feeds: []}\noptions: {}\n", "given twice"),
        ("options: 5", "options: expected mapping with feeds, max_age"),
        ("1: x\noptions: {feeds: []}", "is not text"),
        ("interval: 0s\noptions: {feeds: []}", "must be positive"),
        ("interval: 5\noptions: {feeds: []}", "has no unit"),
        ("vantage: eu\noptions: {feeds: []}", "expected a mapping with region"),
        ("connectivity: x\noptions: {feeds: []}", "expected list of text, got 'x'"),
        ("options: !!python/object/apply:os.system [id]", "not YAML"),
        ("options: " + "[" * 60 + "]" * 60, "nested deeper"),
    ],
)
def test_what_is_not_a_manifest_is_a_config_error(tmp_path: Path, text: str, words: str) -> None:
    assert words in "\n".join(problems(tmp_path, text))


def test_a_secret_is_a_reference_and_a_literal_is_not_echoed(tmp_path: Path) -> None:
    found = problems(tmp_path, "options: {feeds: [], api_key: sk-very-literal}")
    assert "by reference" in found[0]
    assert "sk-very-literal" not in str(found)
    found = problems(tmp_path, "options: {feeds: [], api_key: env:PK_NOT_SET}")
    assert "PK_NOT_SET is not set" in found[0]
    found = problems(tmp_path, "options: {feeds: [], api_key: 12345}")
    assert "12345" not in str(found)


def test_overrides_are_read_like_the_file_and_say_so(tmp_path: Path) -> None:
    manifest = read(tmp_path, "options: {feeds: [a], max_age: 5s}", max_age="20s", feeds="[b, c]")
    assert manifest.options.feeds == ("b", "c")
    assert manifest.options.max_age == timedelta(seconds=20)
    assert manifest.origins["max_age"].source == "--set"
    assert "has no unit" in problems(tmp_path, "options: {feeds: [a]}", max_age="20")[0]
    assert "unknown key" in problems(tmp_path, "options: {feeds: [a]}", max_agee="20s")[0]
    assert "not YAML" in problems(tmp_path, "options: {feeds: [a]}", feeds="[")[0]


def test_without_a_file_the_defaults_stand(tmp_path: Path) -> None:
    manifest = read_manifest(PROBE, None, {"feeds": "[a]"})
    assert manifest.interval == PROBE.interval
    with pytest.raises(ConfigError, match="cannot be read"):
        read_manifest(PROBE, tmp_path / "none.yaml")


@given(st.data())
def test_mutated_manifests_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    text = bytearray(GOOD.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(text) - 1))
        text[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    path.write_bytes(bytes(text))
    with contextlib.suppress(ConfigError):
        assert read_manifest(PROBE, path).options is not None


def test_options_describe_themselves() -> None:
    described = {info.name: info for info in describe(Opts)}
    assert described["feeds"].required
    assert described["feeds"].doc == "what to watch"
    assert described["max_age"].type == "duration (500ms, 10s, 1m30s)"
    assert described["max_age"].default == "10.0s"
    assert described["network"].type == "one of mainnet, beta"
    assert described["colour"].type == "one of red, blue"
    assert described["by_class"].type == "mapping of text to duration (500ms, 10s, 1m30s)"
    assert described["sets"].type == "list of mapping with index, names"
    assert [(one.name, one.required) for one in described["sets"].parts] == [("sets[].index", True), ("sets[].names", False)]
    assert described["feeds"].parts == ()
    assert described["warn_age"].default == "none"
    assert type_text(complex) == "complex"
    assert value_text(("a", {"b": None})) == "[a, {b: none}]"


# -- discovery ---------------------------------------------------------------------------------------------------------------

BODY = '"""Is it so?"""\nimport probekit as pk\nprobe = None\n'


class Patient(Options, frozen=True, kw_only=True):
    timeout: Annotated[timedelta, doc("when it is given up")] = timedelta(seconds=5)
    count: int = 1


POLL: Probe[Patient] = Probe.poll(
    name="p", question="q?", options=Patient, targets=nothing, observe=nothing, checks=lambda options, target: []
)
WATCH: Probe[Patient] = Probe.watch(
    name="p", question="q?", options=Patient, targets=nothing, observe=nothing, checks=lambda options, target: []
)


class Waiting(Options, frozen=True, kw_only=True):
    wait: Annotated[timedelta, doc("how long a run waits")] = timedelta(seconds=9)


WAITER: Probe[Waiting] = Probe.poll(
    name="p", question="q?", options=Waiting, targets=nothing, observe=nothing, checks=lambda options, target: []
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("interval: 9s", ["options.wait: options.wait 9.0s is not shorter than the deadline of a run, 9.0s"]),
        ("deadline: 8s", ["p.yaml:1:1 deadline: options.wait 9.0s is not shorter than the deadline of a run, 8.0s"]),
        (
            "options: {wait: 10s}",
            ["p.yaml:1:11 options.wait: options.wait 10.0s is not shorter than the deadline of a run, 10.0s"],
        ),
        ("interval: 1h\noptions: {wait: 59m}", []),
    ],
)
def test_a_wait_that_outlasts_its_run_is_refused(text: str, expected: list[str], tmp_path: Path) -> None:
    """The run would be cut off, and whoever waited never told what it waited for."""
    path = tmp_path / "p.yaml"
    path.write_text(text)
    if not expected:
        assert read_manifest(WAITER, path).options is not None
        return
    with pytest.raises(ConfigError) as caught:
        read_manifest(WAITER, path)
    for words in expected:
        assert words in "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("interval: 4s", {}, ["p.yaml:1:1 interval: the interval 4.0s is shorter than options.timeout 5.0s"]),
        ("interval: 1s\noptions: {timeout: 2s}", {}, ["p.yaml:1:1 interval: the interval 1.0s is shorter than"]),
        (
            "options:\n  timeout: 11s",
            {},
            ["p.yaml:2:3 options.timeout: the interval 10.0s is shorter than options.timeout 11.0s"],
        ),
        ("interval: 6s", {"timeout": "7s"}, ["p.yaml:1:1 interval: the interval 6.0s is shorter than options.timeout 7.0s"]),
        ("", {"timeout": "70s"}, ["--set timeout options.timeout: the interval 10.0s is shorter than"]),
        # Beside all other faults, and not where one of the two is itself at fault.
        (
            "interval: 1s\nnmae: x\noptions: {count: many}",
            {},
            ["p.yaml:1:1 interval: the interval 1.0s", "p.yaml:2:1 nmae: unknown", "p.yaml:3:11 options.count: expected"],
        ),
        ("interval: soon\noptions: {timeout: 70s}", {}, ["p.yaml:1:1 interval: 'soon' is not"]),
        ("interval: 1s\noptions: {timeout: soon}", {}, ["p.yaml:2:11 options.timeout: 'soon' is not"]),
        ("interval: 5s", {}, []),
        ("interval: 1s\noptions: {timeout: 1s}", {}, []),
    ],
)
def test_a_poll_whose_time_out_is_above_its_interval_is_refused(
    text: str, overrides: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    """Its slow exchanges would be cut off by the run's own end, and never be told as what they are."""
    path = tmp_path / "p.yaml"
    path.write_text(text)
    if not expected:
        assert read_manifest(POLL, path, overrides).options is not None
        return
    with pytest.raises(ConfigError) as caught:
        read_manifest(POLL, path, overrides)
    found = [one.replace(str(tmp_path) + "/", "") for one in caught.value.problems]
    assert len(found) == len(expected), found
    for problem, beginning in zip(found, expected, strict=True):
        assert problem.startswith(beginning), problem


def test_a_watch_may_close_its_runs_more_often_than_an_exchange_may_take(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("interval: 1s")
    assert read_manifest(WATCH, path).options.timeout == timedelta(seconds=5)


def test_the_catalogue_is_complete_and_each_probe_has_its_manifest() -> None:
    listed = list_probes((catalogue(),))
    assert [one.name for one in listed] == [
        "benchmarks_parity",
        "contract_event",
        "cross_chain_lag",
        "dns_record",
        "entropy_callback",
        "evm_head_lag",
        "feed_accuracy",
        "grpc_health",
        "guardian_set",
        "hermes_agreement",
        "hermes_freshness",
        "hermes_latency",
        "hermes_proof",
        "http_service",
        "kubernetes_workloads",
        "lazer_latency",
        "price_journey",
        "prometheus_query",
        "pyth_evm_heartbeat",
        "pythnet_feeds",
        "pythnet_publishers",
        "receiver_staleness",
        "rpc_agreement",
        "solana_slot_lag",
        "tcp_service",
        "tls_certificate",
        "transfer_canary",
        "update_canary",
        "wallet_balance",
        "websocket_service",
        "wormhole_latency",
    ]
    for one in listed:
        probe = load_probe(one)
        assert probe.name == one.name
        assert one.question.endswith("?")
        assert one.manifest is not None
        assert read_manifest(probe, one.manifest).options is not None
        assert (catalogue().parent / "docs" / "runbooks" / f"{one.name}.md").is_file()
        assert len(source_digest(one.path)) == 64
        undocumented = [info.name for info in describe(probe.options) if not info.doc]
        assert undocumented == []


def test_names_paths_and_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(BODY)
    (tmp_path / "_hidden.py").write_text(BODY)
    (tmp_path / "broken.py").write_text("def (")
    monkeypatch.setenv("PROBEKIT_PROBE_PATH", str(tmp_path))
    folders = search_path()
    assert folders == (tmp_path,)
    assert [(one.name, one.question) for one in list_probes(folders)] == [("broken", "(does not parse)"), ("mine", "Is it so?")]
    assert find_probe("mine", folders).path == tmp_path / "mine.py"
    assert find_probe(str(tmp_path / "mine.py"), ()).name == "mine"
    with pytest.raises(ConfigError, match="nearest: mine"):
        find_probe("minee", folders)
    with pytest.raises(ConfigError, match="no probe file"):
        find_probe(str(tmp_path / "none.py"), ())
    with pytest.raises(ConfigError, match="defines no probe"):
        load_probe(find_probe("mine", folders))
    with pytest.raises(ConfigError, match="does not import"):
        load_probe(find_probe("broken", folders))


def test_two_of_one_name_are_shown_both(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.py").write_text(BODY)
    with pytest.raises(ConfigError) as caught:
        list_probes((tmp_path / "one", tmp_path / "two"))
    assert "one/same.py" in caught.value.message
    assert "two/same.py" in caught.value.message
