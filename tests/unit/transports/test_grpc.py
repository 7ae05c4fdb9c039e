"""One call of gRPC against real servers on loopback, its deadline on a clock that the test turns."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from probekit.clients.grpc_health import check
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.errors import ConfigError, ConnectError, DeadlineExceeded, NotEntitled, RateLimited, TlsError, Unauthorized
from probekit.model import RequestRecord
from probekit.secret import Secret
from probekit.testing import FakeClock
from probekit.transports.grpc import GrpcServer, Metadata, refuse_metadata
from tests.support.grpc_server import grpc_server, poller_ends

__all__ = ["poller_ends"]

S = timedelta(seconds=1)


async def ask(server: GrpcServer, service: str = "", *, clock: Clock = SYSTEM_CLOCK, **more: Any) -> Any:
    return await check(server, service, due_ns=clock.monotonic_ns() + 10 * 10**9, clock=clock, **more)


def at(port: int, **more: Any) -> GrpcServer:
    return GrpcServer("127.0.0.1", port, more.pop("tls", False), **more)


async def test_an_answer_with_its_times_and_its_record() -> None:
    records: list[RequestRecord] = []
    async with grpc_server(statuses={"prices": "SERVING", "old": "NOT_SERVING"}) as served:
        answer = await ask(at(served.port), "prices", observer=records.append, target="prices")
        assert (answer.code, answer.status, answer.service) == ("OK", "SERVING", "prices")
        assert 0 < answer.ready_ns < answer.elapsed_ns
        assert (await ask(at(served.port), "old")).status == "NOT_SERVING"
        unknown = await ask(at(served.port), "none", observer=records.append)
        assert (unknown.code, unknown.status) == ("NOT_FOUND", "")
    first, second = records
    assert first.url == f"http://127.0.0.1:{served.port}/grpc.health.v1.Health/Check"
    assert (first.method, first.http_version, first.engine, first.target) == ("POST", "2", "grpc", "prices")
    assert (first.error_type, first.new_connection, second.error_type) == (None, True, "status")
    assert first.phases.first_byte_ns == answer.elapsed_ns - answer.ready_ns
    assert (first.phases.resolve_ns, first.phases.connect_ns, first.phases.tls_ns) == (None, None, None)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INTERNAL", "UNKNOWN", "ABORTED", "DEADLINE_EXCEEDED", "CANCELLED"])
async def test_a_code_of_the_server_is_its_answer(code: str) -> None:
    async with grpc_server() as served:
        answer = await ask(at(served.port), code)
    assert (answer.code, answer.details) == (code, f"because of {code}")


@pytest.mark.parametrize(
    ("code", "kind"),
    [("UNAUTHENTICATED", Unauthorized), ("PERMISSION_DENIED", NotEntitled), ("RESOURCE_EXHAUSTED", RateLimited)],
)
async def test_what_is_about_this_caller_is_an_error(code: str, kind: type[Exception]) -> None:
    async with grpc_server() as served:
        with pytest.raises(kind, match=f"answered {code}: because"):
            await ask(at(served.port), code)


async def test_a_server_without_the_health_service() -> None:
    async with grpc_server(health_service=False) as served:
        assert (await ask(at(served.port))).code == "UNIMPLEMENTED"


async def test_metadata_goes_out_and_a_secret_nowhere_else() -> None:
    key = Secret("c4nary-grpc-13579")
    records: list[RequestRecord] = []
    async with grpc_server() as served:
        metadata: Metadata = (("x-plain", "one"), ("authorization", key))
        with pytest.raises(Unauthorized):
            await ask(at(served.port), "UNAUTHENTICATED", metadata=metadata, observer=records.append)
        await ask(at(served.port, authority="health.test"), metadata=metadata, observer=records.append)
    assert served.seen[0]["authorization"] == served.seen[1]["authorization"] == key.reveal()
    assert served.seen[1]["x-plain"] == "one"
    assert "c4nary" not in repr(records)


async def test_a_closed_port_is_no_answer() -> None:
    records: list[RequestRecord] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectError, match="refused"):
            await ask(at(taken.getsockname()[1]), observer=records.append)
    assert [one.error_type for one in records] == ["connect"]


async def test_a_connection_that_is_lost_at_once_was_one() -> None:
    """Ready for a moment that no watcher sees, then idle: what waits to see it ready waits for ever."""
    settings, goaway = bytes.fromhex("000000040000000000"), bytes.fromhex("000008070000000000") + bytes(8)

    async def leaves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(settings + goaway)
        writer.close()

    server = await asyncio.start_server(leaves, "127.0.0.1", 0)
    async with server:
        for _ in range(10):
            answer = await ask(at(server.sockets[0].getsockname()[1]))
            assert answer.code == "UNAVAILABLE", answer
            assert answer.elapsed_ns < 5 * 10**9


async def test_tls_by_the_name_that_it_is_called_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    issued = authority.issue_cert("health.test")
    pair = (issued.private_key_pem.bytes(), b"".join(one.bytes() for one in issued.cert_chain_pems))
    for pem, one in (("good", authority), ("bad", stranger)):
        one.cert_pem.write_to_path(tmp_path / f"{pem}.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "good.pem"))
    async with grpc_server(certificate=pair) as served:
        answer = await ask(at(served.tls_port, tls=True, authority="health.test"))
        assert answer.status == "SERVING"
        for name in (None, "other.test"):
            with pytest.raises(TlsError, match=f"no connection to 127.0.0.1:{served.tls_port}"):
                await ask(at(served.tls_port, tls=True, authority=name))
        with pytest.raises(TlsError):
            await ask(at(served.port, tls=True, authority="health.test"))
        with pytest.raises(ConnectError):
            await ask(at(served.tls_port))
        # What is replaced is read anew.
        (tmp_path / "bad.pem").replace(tmp_path / "good.pem")
        with pytest.raises(TlsError):
            await ask(at(served.tls_port, tls=True, authority="health.test"))
        authority.cert_pem.write_to_path(tmp_path / "bad.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bad.pem"))
        assert (await ask(at(served.tls_port, tls=True, authority="health.test"))).status == "SERVING"


async def test_given_up_while_it_connects_and_while_it_answers() -> None:
    clock = FakeClock()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        task = asyncio.ensure_future(ask(at(silent.getsockname()[1]), clock=clock))
        await asyncio.sleep(0.02)
        await clock.advance(10 * S)
        with pytest.raises(DeadlineExceeded, match="name, connection, TLS or HTTP/2 settings") as caught:
            await task
    assert (caught.value.phase, caught.value.elapsed_ns) == (None, 10 * 10**9)
    records: list[RequestRecord] = []
    async with grpc_server() as served:
        task = asyncio.ensure_future(ask(at(served.port), "hang", clock=clock, observer=records.append))
        while not served.seen:
            await asyncio.sleep(0.001)
        await clock.advance(10 * S)
        with pytest.raises(DeadlineExceeded, match="took the call and did not answer") as caught:
            await task
    assert caught.value.error_type == "deadline_first_byte"
    assert [(one.error_type, one.elapsed_ns) for one in records] == [("deadline_first_byte", 10 * 10**9)]


async def test_one_that_is_given_up_by_its_caller_is_told_of_as_cancelled() -> None:
    records: list[RequestRecord] = []
    async with grpc_server() as served:
        task = asyncio.ensure_future(ask(at(served.port), "hang", observer=records.append))
        while not served.seen:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [one.error_type for one in records] == ["cancelled"]


async def test_a_defect_and_what_is_not_configured_are_not_told_of_as_cancelled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    records: list[RequestRecord] = []

    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr("grpc.aio.insecure_channel", broken)
        with pytest.raises(ValueError, match="a defect"):
            await ask(at(9), observer=records.append)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError):
        await ask(at(9, tls=True), observer=records.append)
    assert [one.error_type for one in records] == ["internal", "config"]


async def test_each_call_has_a_connection_of_its_own_and_leaves_nothing() -> None:
    async with grpc_server() as served:
        for _ in range(5):
            await ask(at(served.port))
        gc.collect()
        threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            await ask(at(served.port))
        gc.collect()
        await asyncio.sleep(0.02)
        assert threading.active_count() <= threads
        assert len(os.listdir("/proc/self/fd")) <= descriptors


@pytest.mark.parametrize(
    ("key", "value"),
    [("Upper", "x"), ("", "x"), ("grpc-timeout", "x"), ("x-bin", "x"), ("x", "a\nb"), ("x", Secret("k\u00e9y-0123456789"))],
)
def test_metadata_that_cannot_be_sent_is_refused_without_its_value(key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_metadata(((key, value),))
    assert "0123456789" not in str(caught.value)
    assert "a\nb" not in str(caught.value)
