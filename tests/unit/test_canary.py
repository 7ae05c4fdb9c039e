"""One canary secret through everything: client, errors, logs, runs, recorders, telemetry. No trace, in any spelling."""

from __future__ import annotations

import base64
import logging
import pickle
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from probekit.dev import faults
from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.entry.output import junit, plain_table
from probekit.errors import (
    DecodeError,
    NoAgreement,
    NotServed,
    ProbekitError,
    RangeTooLarge,
    Reverted,
    RpcError,
    RpcInternal,
    RpcRateLimited,
)
from probekit.model import FeedId, Status, Vantage
from probekit.runner import RunSettings, run_once
from probekit.runner.encode import encode_run
from probekit.secret import Secret, cut, excerpt
from probekit.telemetry import recorder_from_env
from probekit.telemetry.jsonl import JsonLinesRecorder
from probekit.transports.rpc.faults import error_of
from tests.support.sandbox import load

CANARY = "c4nary/key+with=odd&chars-0123456789"


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[bytes]]]:
    """An OTLP receiver that keeps every byte it is sent, headers included."""
    kept: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.append(bytes(self.headers) + self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", kept
    server.shutdown()
    server.server_close()


def traces(data: bytes) -> list[str]:
    """The spellings of the canary that stand in ``data``."""
    raw = CANARY.encode()
    spellings = {
        "plain": raw,
        "percent": quote(CANARY, safe="").encode(),
        "base64": base64.b64encode(raw)[:-3],
        "hex": raw.hex().encode(),
        "middle": raw[3:-3],
    }
    return [name for name, form in spellings.items() if form in data]


@pytest.mark.parametrize("right_key", [True, False])
async def test_no_trace_anywhere(
    right_key: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, receiver: tuple[str, list[bytes]]
) -> None:
    caplog.set_level(logging.DEBUG)
    key = Secret(CANARY)
    network = SandboxNetwork(feeds=4)
    sandbox = Sandbox(network, api_key=key if right_key else Secret("another-key"))
    # The service echoes what it was sent, in the words of its refusal.
    sandbox.inject(faults.Unentitled(network.markets[1].feed.id))
    probe = load("hermes_proof")
    url, kept = receiver
    telemetry = recorder_from_env(Vantage("h"), {"OTEL_EXPORTER_OTLP_ENDPOINT": url})
    assert telemetry is not None
    file = tmp_path / "runs.jsonl"
    async with serve(sandbox) as endpoint:
        options = probe.options(
            endpoint=f"{endpoint}?ACCESS_TOKEN={quote(CANARY, safe='')}" if not right_key else endpoint,
            api_key=key,
            feeds=tuple(str(market.feed.id) for market in network.markets),
            max_latency=timedelta(seconds=5),
        )
        run = await run_once(
            probe, options, settings=RunSettings(interval=timedelta(seconds=5)), recorders=[telemetry, JsonLinesRecorder(file)]
        )
    assert kept
    everything = encode_run(run) + pickle.dumps(run) + file.read_bytes() + b"".join(kept) + caplog.text.encode()
    everything += repr(run).encode() + repr(options.api_key).encode()
    assert traces(everything) == []


@pytest.fixture
def echo() -> Iterator[str]:
    """A service that answers every request with the key it was sent, in every spelling, in its headers and its body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raw = CANARY.encode()
            body = b" ".join((raw, quote(CANARY, safe="").encode(), base64.b64encode(raw), raw.hex().encode(), raw)) * 40
            status = int(self.path.split("/")[1])
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("server", CANARY)
            self.send_header("via", quote(CANARY, safe=""))
            self.send_header("retry-after", CANARY)
            self.send_header("location", f"/{status}/{quote(CANARY, safe='')}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 429, 500])
@pytest.mark.parametrize("name", ["hermes_freshness", "hermes_proof", "hermes_agreement", "hermes_latency"])
async def test_what_a_service_echoes_goes_no_further(
    name: str, status: int, echo: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every probe, and with them both engines, the stream and its refusals."""
    caplog.set_level(logging.DEBUG)
    probe = load(name)
    endpoints: dict[str, object] = {"endpoint": f"{echo}/{status}"}
    if name == "hermes_agreement":
        endpoints = {"endpoints": (f"{echo}/{status}/a", f"{echo}/{status}/b")}
    soon = timedelta(milliseconds=200)
    quick = {"hermes_freshness": {"max_age": soon}, "hermes_agreement": {"max_silence": soon}}
    options = probe.options(feeds=(FeedId("e6" * 32),), api_key=Secret(CANARY), **endpoints, **quick.get(name, {}))
    file = tmp_path / "runs.jsonl"
    settings = RunSettings(interval=timedelta(seconds=2), deadline=timedelta(seconds=1))
    run = await run_once(probe, options, settings=settings, recorders=[JsonLinesRecorder(file)])
    assert run.status in (Status.CRITICAL, Status.UNKNOWN)
    assert run.requests
    shown = junit(run) + plain_table(run) + repr(run) + caplog.text
    assert traces(encode_run(run) + pickle.dumps(run) + file.read_bytes() + shown.encode()) == []


@pytest.mark.parametrize("size", [100, 65_520, 65_536, 200_000])
def test_input_that_did_not_decode_is_kept_without_it(size: int) -> None:
    key = Secret(CANARY)
    raw = b"." * (size - 20) + key.reveal().encode() + b"." * 100
    for kept in (DecodeError("no", raw=raw).raw, DecodeError("no", raw=raw.decode()).raw):
        text = kept if isinstance(kept, bytes) else kept.encode()
        assert traces(text) == []
        assert CANARY.encode()[:8] not in text
        assert len(text) <= 65_536


def test_errors_made_of_it_say_nothing() -> None:
    key = Secret(CANARY)
    error = ProbekitError(f"bad answer {key.reveal()} {quote(key.reveal(), safe='')}")
    assert traces(pickle.dumps(error) + repr(error).encode()) == []


@pytest.mark.parametrize("spaced", [b"", b"-"])
@pytest.mark.parametrize("size", [100, 1_024, 8_192, 65_536])
def test_a_text_full_of_it_is_cut_without_the_beginning_of_one(size: int, spaced: bytes) -> None:
    """Each one taken out brings what follows nearer: the end of what was looked at may come to be shown."""
    key = Secret(CANARY * 3)
    for lead in range(0, len(key.reveal()), 7):
        data = b"." * lead + (key.reveal().encode() + spaced) * (3 * size // 100 + 400)
        for kept in (cut(data, size), cut(data.decode(), size).encode(), excerpt(data, size).encode()):
            assert len(kept) <= size
            assert CANARY.encode()[:8] not in kept


def test_what_an_rpc_error_and_a_missing_agreement_keep_says_nothing() -> None:
    key = Secret(CANARY)
    shown = f"key {key.reveal()} {quote(key.reveal(), safe='')}"
    deep: object = shown
    for _ in range(500):
        deep = [deep]
    for data in (shown, [shown], {"why": {shown: [shown, 7, None]}}, shown.encode(), deep):
        for kind in (RpcError, Reverted, RpcInternal, RpcRateLimited, NotServed, RangeTooLarge):
            error = kind(shown, code=-32000, data=data)
            assert traces(pickle.dumps(error) + repr(error).encode() + repr(error.data).encode()) == []
    kept = RpcError("no", code=1, data={"why": ["x", 7, None, 1.5, True]}).data
    assert kept == {"why": ["x", 7, None, 1.5, True]}
    disagreed = NoAgreement(shown, answers=((shown, shown),))
    assert traces(pickle.dumps(disagreed) + repr(disagreed.answers).encode()) == []


@pytest.mark.parametrize("size", range(100, 320, 5))
def test_words_of_a_node_are_cut_without_the_beginning_of_one(size: int) -> None:
    key = Secret(CANARY)
    told = error_of(-32000, "." * size + key.reveal() + "." * 400, None, method="eth_call")
    assert CANARY[:8] not in told.message
