"""Keys in headers, URLs and answers: on the wire, and nowhere else; not in what a reporter of errors would print either."""

from __future__ import annotations

import logging
import pickle
import traceback
from dataclasses import replace

import pytest

from probekit.errors import TransportError
from probekit.secret import Secret
from probekit.transports.base import Engine, Limits, Request
from tests.contract.transports.attempts import get
from tests.contract.transports.server import Server

CANARY = "c4nary-0123456789"
IN_URL = "t0ken-abcdef"


def everything(error: BaseException | None) -> str:
    """The error and all it leads to, with the local variables of every frame: what a reporter of errors may send away."""
    said = ""
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        said += repr(one) + str(vars(one))
        shown = traceback.TracebackException.from_exception(one, capture_locals=True)
        # The test's own frames know the keys, of course.
        said += "".join(str(frame.locals) for frame in shown.stack if "/tests/" not in frame.filename)
        left += [one.__cause__, one.__context__]
    return said


def asking(url: str, secret: Secret, seconds: float = 0.3) -> Request:
    request = get(f"{url}?ACCESS_TOKEN={IN_URL}", seconds, limits=Limits(max_body_bytes=1_000))
    return replace(request, headers=(("authorization", secret), ("x-api-key", secret)))


@pytest.mark.parametrize("path", ["/closing", "/garbage", "/silent", "/dripping", "/headers", "/bomb", "/short", "/brotli"])
async def test_an_error_and_all_it_leads_to(
    engine: Engine, server: Server, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = Secret(f"Bearer {CANARY}")
    with pytest.raises(TransportError) as caught:
        await engine.send(asking(server.url(path), secret))
    assert CANARY.encode() in server.requests[0]
    assert IN_URL.encode() in server.requests[0]
    for said in (everything(caught.value), caplog.text, repr(pickle.loads(pickle.dumps(caught.value)))):
        assert CANARY not in said
        assert IN_URL not in said


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://[::1/", "http://no-such-host.onion/", "http://127.0.0.1:9/\u00e9"]
)
async def test_an_error_before_anything_was_sent(engine: Engine, url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(TransportError) as caught:
        await engine.send(asking(url, Secret(CANARY)))
    for said in (everything(caught.value), caplog.text):
        assert CANARY not in said
        assert IN_URL not in said


async def test_a_request_and_its_answer_show_nothing(engine: Engine, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = Secret(CANARY)
    request = asking(server.url("/ok"), secret)
    response = await engine.send(request)
    redirected = await engine.send(replace(asking(server.url("/to"), secret), url=server.url(f"/to?/ok?ACCESS_TOKEN={IN_URL}")))
    streamed = await engine.send(replace(asking(server.url("/held"), secret), stream=True))
    said = repr(request) + repr(response) + repr(redirected.url) + repr(streamed) + caplog.text
    await streamed.aclose()
    assert CANARY not in said
    assert IN_URL not in said
