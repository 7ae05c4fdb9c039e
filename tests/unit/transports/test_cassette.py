"""Cassettes: what is recorded plays back, in order, without its secrets."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from probekit.errors import (
    BodyTooLarge,
    ConfigError,
    ConnectError,
    DeadlineExceeded,
    HeadersTooLarge,
    ProtocolError,
    ResolveError,
    TlsError,
    TransportError,
)
from probekit.secret import Secret
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request, Response
from probekit.transports.cassette import Cassette


def get(path: str = "/a") -> Request:
    return Request("GET", f"http://one{path}")


async def test_a_recording_plays_back_in_order(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "tape.jsonl"
    answers: list[Response | Exception] = [
        reply(200, "first", {"date": "d", "set-cookie": "c"}),
        reply(503, "busy"),
        ConnectError("refused"),
    ]
    inner = ReplyTransport(lambda request: answers.pop(0))
    recorder = Cassette(path, "record", clock=clock, engine=inner)
    assert (await recorder.send(get())).body == b"first"
    await recorder.send(get("/b"))
    with pytest.raises(ConnectError):
        await recorder.send(get())
    await recorder.aclose()
    assert inner.closed

    player = Cassette(path, "play", clock=clock)
    first = await player.send(get())
    assert (first.status, first.body, first.headers) == (200, b"first", (("date", "d"),))
    assert (await player.send(get("/b"))).status == 503
    with pytest.raises(ConnectError, match="refused"):
        await player.send(get())
    with pytest.raises(TransportError, match="has ended"):
        await player.send(get())
    assert player.capabilities.engine == "cassette"
    await player.aclose()


async def test_another_request_than_recorded_names_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    recorder = Cassette(path, "record", clock=FakeClock(), engine=ReplyTransport(lambda request: reply(200)))
    await recorder.send(get("/expected"))
    player = Cassette(path, "play", clock=FakeClock())
    with pytest.raises(TransportError, match="expects GET http://one/expected next"):
        await player.send(get("/expectad"))
    with pytest.raises(TransportError, match="no streams"):
        await player.send(Request("GET", "http://one/expected", stream=True))


async def test_secrets_never_reach_the_file(tmp_path: Path) -> None:
    secret, path = Secret("c4nary-on-the-tape"), tmp_path / "tape.jsonl"
    inner = ReplyTransport(lambda request: reply(200, f"echo {secret.reveal()}", {"date": secret.reveal()}))
    recorder = Cassette(path, "record", clock=FakeClock(), engine=inner)
    await recorder.send(
        Request("GET", "http://u:p4ssword@one/?ACCESS_TOKEN=t0ken", (("authorization", secret), ("x-key", "plain-header")))
    )
    await recorder.send(Request("GET", "http://one/s", stream=True))
    text = path.read_text()
    assert len(text.splitlines()) == 1
    body = base64.b64decode(msgspec.json.decode(text)["body_base64"])
    for part in (b"c4nary", b"p4ssword", b"t0ken", b"plain-header"):
        assert part not in text.encode() + body


async def test_no_spelling_of_a_secret_reaches_the_file(tmp_path: Path) -> None:
    value = "c4nary/key+with=odd&chars-0123456789"
    secret, path = Secret(value), tmp_path / "tape.jsonl"
    raw = value.encode()
    spellings = [raw, quote(value, safe="").encode(), raw.hex().encode(), base64.b64encode(b"{" + raw + b"}")]
    answers: list[Response | Exception] = [reply(200, b" ".join(spellings), {"retry-after": quote(value, safe="")})]
    answers.append(ConnectError(f"could not reach {quote(value, safe='')}"))
    recorder = Cassette(path, "record", clock=FakeClock(), engine=ReplyTransport(lambda _: answers.pop(0)))
    request = Request("POST", f"http://one/{quote(value, safe='')}?a={value}", (("x", secret),), body=raw)
    await recorder.send(request)
    with pytest.raises(ConnectError):
        await recorder.send(request)
    lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    written = path.read_bytes() + base64.b64decode(lines[0]["body_base64"])
    for spelling in (*spellings[:3], base64.b64encode(b"{" + raw)[4:24], raw[5:20]):
        assert spelling not in written
    assert (await Cassette(path, "play", clock=FakeClock()).send(request)).status == 200


def test_what_is_no_cassette(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("{")
    for name in ("bad", "none"):
        with pytest.raises(ConfigError, match="cannot be read"):
            Cassette(tmp_path / name, "play", clock=FakeClock())
    with pytest.raises(ConfigError, match="needs an engine"):
        Cassette(tmp_path / "x", "record", clock=FakeClock())


@pytest.mark.parametrize(
    "error",
    [
        DeadlineExceeded("late", phase="tls"),
        DeadlineExceeded("late"),
        ConnectError("x"),
        ResolveError("x"),
        TlsError("x"),
        ProtocolError("x"),
        BodyTooLarge("x", limit_bytes=7),
        HeadersTooLarge("x", limit_bytes=8),
        TransportError("x"),
    ],
    ids=lambda error: f"{type(error).__name__}",
)
async def test_an_error_plays_back_as_what_it_was(tmp_path: Path, error: TransportError) -> None:
    path = tmp_path / "tape.jsonl"
    recorder = Cassette(path, "record", clock=FakeClock(), engine=ReplyTransport(lambda _: error))
    with pytest.raises(TransportError):
        await recorder.send(get())
    with pytest.raises(TransportError) as caught:
        await Cassette(path, "play", clock=FakeClock()).send(get())
    again = caught.value
    assert type(again) is type(error)
    assert (again.error_type, again.message) == (error.error_type, error.message)
    assert getattr(again, "limit_bytes", None) == getattr(error, "limit_bytes", None)
    assert getattr(again, "phase", None) == getattr(error, "phase", None)


async def test_requests_that_differ_by_their_body_are_different(tmp_path: Path) -> None:
    def post(body: bytes) -> Request:
        return Request("POST", "http://one/rpc", body=body)

    path = tmp_path / "tape.jsonl"
    recorder = Cassette(path, "record", clock=FakeClock(), engine=ReplyTransport(lambda _: reply(200, b"{}")))
    await recorder.send(post(b'{"method":"eth_chainId"}'))
    player = Cassette(path, "play", clock=FakeClock())
    with pytest.raises(TransportError, match="another body"):
        await player.send(post(b'{"method":"eth_blockNumber"}'))
    assert (await player.send(post(b'{"method":"eth_chainId"}'))).status == 200
    assert b"eth_chainId" not in path.read_bytes()
