"""Redirects: only as far as asked, to http and https alone, and no secret goes to a host it was not meant for."""

from __future__ import annotations

import pytest

from probekit.errors import DeadlineExceeded, ProtocolError
from probekit.secret import Secret
from probekit.transports.base import Engine
from tests.contract.transports.attempts import failure, get, until
from tests.contract.transports.server import Server, serving


async def test_what_is_beyond_the_number_asked_for_is_the_answer(engine: Engine, server: Server) -> None:
    response = await engine.send(get(server.url("/round"), max_redirects=3))
    assert (response.status, response.header("location")) == (307, "/round")
    assert len(server.requests) == 4


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/", "gopher://x/", "http://127.0.0.1:99999/"])
async def test_to_http_and_https_only(engine: Engine, server: Server, target: str) -> None:
    assert isinstance(await failure(engine, get(server.url(f"/to?{target}"), max_redirects=5)), ProtocolError)


async def test_secrets_stay_with_the_host_they_were_meant_for(engine: Engine, server: Server) -> None:
    headers = (("authorization", Secret("Bearer c4nary")), ("x-api-key", Secret("c4nary-2")), ("x-plain", "yes"))
    async with serving() as other:
        response = await engine.send(get(server.url(f"/to?{other.url('/ok')}"), headers=headers, max_redirects=1))
        assert response.body == b"hello"
        assert response.url == other.url("/ok")
        assert b"c4nary" not in other.requests[0]
        assert b"x-plain: yes" in other.requests[0].lower()
    await engine.send(get(server.url("/to?/ok"), headers=headers, max_redirects=1))
    assert server.requests[-1].count(b"c4nary") == 2, "the same host is still the one that was meant"


async def test_the_deadline_is_one_for_all_of_them(engine: Engine, server: Server) -> None:
    error = await failure(engine, get(server.url("/to?/silent"), 0.3, max_redirects=2))
    assert isinstance(error, DeadlineExceeded)
    assert error.phase == "first_byte"


async def test_phases_are_those_of_the_last_hop(engine: Engine, server: Server) -> None:
    response = await engine.send(get(server.url("/redirect"), max_redirects=1))
    phases = response.phases
    parts = [phases.connect_ns, phases.first_byte_ns, phases.transfer_ns]
    assert all(part is not None and part >= 0 for part in parts)
    assert sum(part or 0 for part in parts) <= response.elapsed_ns


async def test_a_redirect_to_nowhere_leaves_no_stream_open(engine: Engine, server: Server) -> None:
    assert isinstance(await failure(engine, get(server.url("/to?http://[::1/"), stream=True, max_redirects=1)), ProtocolError)
    await until(lambda: server.open == 0)


async def test_a_stream_may_be_redirected(engine: Engine, server: Server) -> None:
    response = await engine.send(get(server.url("/to?/events"), stream=True, max_redirects=1))
    assert response.status == 200
    assert response.header("content-type") == "text/event-stream"
    await response.aclose()
