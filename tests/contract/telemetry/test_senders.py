"""What both senders, OTLP over HTTP and over gRPC, owe the delivery: the same outcomes for the same events."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from probekit.errors import ConfigError
from probekit.telemetry.delivery import Outcome, Sender
from probekit.telemetry.environment import SIGNALS, SignalSettings
from probekit.telemetry.headers import Headers
from probekit.telemetry.otel import sender_of
from probekit.telemetry.otlpgrpc import retry_info_s
from probekit.telemetry.otlphttp import retry_after_s
from tests.unit.telemetry.receiver import Answer, Receiver, grpc_receiver, http_receiver

PAYLOAD = b""
KINDS: dict[str, Callable[..., AbstractContextManager[Receiver]]] = {"http/protobuf": http_receiver, "grpc": grpc_receiver}


@pytest.fixture(params=tuple(KINDS))
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def receiver(protocol: str) -> Iterator[Receiver]:
    with KINDS[protocol]() as receiver:
        yield receiver


@pytest.fixture
def make(protocol: str, receiver: Receiver) -> Iterator[Callable[..., Sender]]:
    made: list[Sender] = []

    def make(signal: str = "traces", endpoint: str = "", **changes: Any) -> Sender:
        url = endpoint or receiver.url
        url = f"{url}/v1/{signal}" if protocol == "http/protobuf" else url
        sender = sender_of(SignalSettings(signal=signal, endpoint=url, protocol=protocol, **changes))  # type: ignore[arg-type]
        made.append(sender)
        return sender

    yield make
    for sender in made:
        sender.close()


def refusal(protocol: str, status: int, code: grpc.StatusCode, **changes: Any) -> Answer:
    return Answer(status=status, **changes) if protocol == "http/protobuf" else Answer(code=code, **changes)


@pytest.mark.parametrize("signal", SIGNALS)
def test_accepted_and_rejected_items_are_told_apart(receiver: Receiver, make: Callable[..., Sender], signal: str) -> None:
    receiver.answers[signal].extend((Answer(), Answer(rejected=3, message="too old"), Answer(message="be careful")))
    sender = make(signal)
    assert sender.send(PAYLOAD, 5) == Outcome(delivered=True)
    assert sender.send(PAYLOAD, 5) == Outcome(delivered=True, rejected=3, message="too old")
    assert sender.send(PAYLOAD, 5) == Outcome(delivered=True, rejected=0, message="be careful")


def test_an_answer_that_does_not_decode_was_accepted_all_the_same(receiver: Receiver, make: Callable[..., Sender]) -> None:
    receiver.answers["traces"].append(Answer(body=b"\xff\xff\xff"))
    outcome = make().send(PAYLOAD, 5)
    assert outcome.delivered
    assert "does not decode" in outcome.message


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, grpc.StatusCode.CANCELLED),
        (502, grpc.StatusCode.ABORTED),
        (503, grpc.StatusCode.UNAVAILABLE),
        (504, grpc.StatusCode.DEADLINE_EXCEEDED),
        (503, grpc.StatusCode.OUT_OF_RANGE),
        (503, grpc.StatusCode.DATA_LOSS),
    ],
)
def test_the_protocols_retryable_answers(
    receiver: Receiver, make: Callable[..., Sender], protocol: str, status: int, code: grpc.StatusCode
) -> None:
    receiver.answers["traces"].append(refusal(protocol, status, code))
    outcome = make().send(PAYLOAD, 5)
    assert (outcome.delivered, outcome.retryable, outcome.wait_s) == (False, True, None)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, grpc.StatusCode.INVALID_ARGUMENT),
        (401, grpc.StatusCode.UNAUTHENTICATED),
        (404, grpc.StatusCode.UNIMPLEMENTED),
        (413, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (500, grpc.StatusCode.INTERNAL),
        (307, grpc.StatusCode.UNKNOWN),
    ],
)
def test_every_other_refusal_is_final(
    receiver: Receiver, make: Callable[..., Sender], protocol: str, status: int, code: grpc.StatusCode
) -> None:
    receiver.answers["traces"].append(refusal(protocol, status, code))
    outcome = make().send(PAYLOAD, 5)
    assert (outcome.delivered, outcome.retryable) == (False, False)


def test_a_receiver_may_say_when_to_come_back(receiver: Receiver, make: Callable[..., Sender], protocol: str) -> None:
    if protocol == "grpc":
        answer = Answer(code=grpc.StatusCode.RESOURCE_EXHAUSTED, retry_info_s=1.5)
    else:
        answer = Answer(status=503, headers={"retry-after": "7"})
    receiver.answers["traces"].append(answer)
    outcome = make().send(PAYLOAD, 5)
    assert outcome.retryable
    assert outcome.wait_s == (1.5 if protocol == "grpc" else 7.0)


def test_nobody_there_is_retryable(make: Callable[..., Sender]) -> None:
    outcome = make(endpoint="http://localhost:1").send(PAYLOAD, 5)
    assert (outcome.delivered, outcome.retryable) == (False, True)


def test_no_answer_in_time_is_retryable(receiver: Receiver, make: Callable[..., Sender]) -> None:
    held = threading.Event()
    receiver.answers["traces"].append(Answer(hold=held))
    began = time.monotonic()
    outcome = make().send(PAYLOAD, 0.2)
    held.set()
    assert (outcome.delivered, outcome.retryable) == (False, True)
    assert time.monotonic() - began < 5


def test_headers_and_compression_reach_the_receiver(receiver: Receiver, make: Callable[..., Sender], protocol: str) -> None:
    make(headers=Headers({"authorization": "Bearer canary-0123456789", "x-scope-orgid": "1"}), gzip=True).send(PAYLOAD, 5)
    headers = receiver.received[0].headers
    assert headers["authorization"] == "Bearer canary-0123456789"
    assert headers["x-scope-orgid"] == "1"
    if protocol == "http/protobuf":
        assert headers["content-encoding"] == "gzip"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_tls_trusts_the_given_authority_and_shows_the_given_certificate(
    protocol: str, authority: trustme.CA, tmp_path: Path
) -> None:
    server, client = authority.issue_cert("localhost"), authority.issue_cert("probe@example.org")
    ca, certificate, key = tmp_path / "ca.pem", tmp_path / "client.pem", tmp_path / "client.key"
    authority.cert_pem.write_to_path(str(ca))
    client.private_key_pem.write_to_path(str(key))
    certificate.write_bytes(b"".join(part.bytes() for part in client.cert_chain_pems))
    if protocol == "grpc":
        chain = b"".join(part.bytes() for part in server.cert_chain_pems)
        pairs = [(server.private_key_pem.bytes(), chain)]
        how: Any = grpc.ssl_server_credentials(pairs, authority.cert_pem.bytes(), require_client_auth=True)
    else:
        how = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca))
        how.verify_mode = ssl.CERT_REQUIRED
        server.configure_cert(how)
    with KINDS[protocol](how) as receiver:
        url = f"{receiver.url}/v1/traces" if protocol == "http/protobuf" else receiver.url

        def outcome(**files: str) -> Outcome:
            sender = sender_of(SignalSettings(signal="traces", endpoint=url, protocol=protocol, **files))  # type: ignore[arg-type]
            try:
                return sender.send(PAYLOAD, 5)
            finally:
                sender.close()

        assert not outcome().delivered
        assert not outcome(ca_file=str(ca)).delivered
        assert outcome(ca_file=str(ca), client_certificate=str(certificate), client_key=str(key)).delivered


def test_a_certificate_file_that_is_not_there_is_one_sentence(make: Callable[..., Sender]) -> None:
    with pytest.raises(ConfigError, match="certificate file for OTLP traces"):
        make(endpoint="https://localhost:1", ca_file="/nonexistent/ca.pem")


class TestGrpcAlone:
    @pytest.mark.parametrize("details", [b"", b"\xff\xff"])
    def test_details_that_say_nothing_of_a_wait(self, details: bytes) -> None:
        class Error:
            def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
                return (("other", b"x"), ("grpc-status-details-bin", details))

        assert retry_info_s(Error()) is None
        assert retry_info_s(object()) is None


class TestHttpAlone:
    def test_a_connection_is_kept_and_a_broken_one_is_retryable(self) -> None:
        with http_receiver() as receiver:
            receiver.answers["traces"].extend((Answer(), Answer(), Answer(hang_up=True), Answer()))
            sender = sender_of(SignalSettings(signal="traces", endpoint=f"{receiver.url}/v1/traces"))
            outcomes = [sender.send(PAYLOAD, 5) for _ in range(4)]
            sender.close()
        assert [one.delivered for one in outcomes] == [True, True, False, True]
        assert outcomes[2].retryable
        assert receiver.connections == 2

    def test_what_is_not_http_is_final(self) -> None:
        import socket

        with socket.create_server(("127.0.0.1", 0)) as server:

            def talk() -> None:
                connection, _ = server.accept()
                connection.recv(65_536)
                connection.sendall(b"SSH-2.0-OpenSSH_9\r\n")
                connection.close()

            thread = threading.Thread(target=talk)
            thread.start()
            url = f"http://localhost:{server.getsockname()[1]}/v1/traces"
            sender = sender_of(SignalSettings(signal="traces", endpoint=url))
            outcome = sender.send(PAYLOAD, 5)
            sender.close()
            thread.join()
        assert (outcome.delivered, outcome.retryable) == (False, False)
        assert "not HTTP" in outcome.message

    def test_an_endless_answer_is_not_read_to_its_end(self) -> None:
        with http_receiver() as receiver:
            receiver.answers["traces"].append(Answer(body=b"\0" * 10_000_000))
            sender = sender_of(SignalSettings(signal="traces", endpoint=f"{receiver.url}/v1/traces"))
            assert sender.send(PAYLOAD, 5).delivered
            assert sender.send(PAYLOAD, 5).delivered
            sender.close()

    @pytest.mark.parametrize("value", [None, "", "soon", "-3", "١"])
    def test_an_unreadable_retry_after_is_none(self, value: str | None) -> None:
        assert retry_after_s(value) is None

    def test_retry_after_may_be_a_date(self) -> None:
        from email.utils import formatdate

        assert 25 < (retry_after_s(formatdate(time.time() + 30, usegmt=True)) or 0) <= 31
        assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
