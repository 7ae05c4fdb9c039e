"""KubernetesClient over real HTTP to kmock (a fake API server: no real one can be had here), and how a cluster is reached."""

from __future__ import annotations

import base64
import json
import stat
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import kmock
import pytest
import trustme

from probekit.clients.kubernetes import KubernetesClient
from probekit.clients.kubernetes_access import ClusterAccess, load_access
from probekit.errors import ConfigError, DeadlineExceeded, ServerError, StatusError, Unauthorized
from probekit.model.kubernetes import KINDS, Listing, TlsSecret
from probekit.model.observation import RequestRecord
from probekit.secret import redact
from probekit.testing import FakeClock, ReplyTransport, reply
from probekit.transports.base import Request
from probekit.transports.retry import NO_RETRY
from probekit.units import Instant
from tests.support.kubernetes import PATHS, SECRET, SERVER, ApiServer, Objects, kubeconfig

MAKE = Objects(Instant.parse("2026-11-26T13:05:00Z"))


# -- over HTTP ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def cluster() -> AsyncIterator[tuple[kmock.KubernetesEmulator, str]]:
    """An emulated API server on loopback that holds a healthy cluster, and its URL."""
    async with kmock.KubernetesEmulator() as emulator, kmock.Server(emulator) as server:
        for kind, objects in MAKE.healthy().items():
            group, _, plural = PATHS[kind].removeprefix("/apis/").removeprefix("/api/").rpartition("/")
            for one in objects:
                meta = one["metadata"]
                emulator.objects[f"{group}/{plural}", meta["namespace"], meta["name"]] = one
        yield emulator, str(server.url).rstrip("/")


async def test_every_kind_is_listed_over_http_and_nothing_else_is_asked(
    cluster: tuple[kmock.KubernetesEmulator, str],
) -> None:
    emulator, url = cluster
    kinds = [kind for kind in KINDS if kind != "tls_secrets"]
    async with KubernetesClient(ClusterAccess(url)) as client:
        found = await client.listings(kinds)
    sizes = {kind: len(one.objects) for kind, one in found.items() if isinstance(one, Listing)}
    assert sizes == {kind: len(objects) for kind, objects in MAKE.healthy().items()}
    assert all(isinstance(one, Listing) and not one.problems for one in found.values())
    asked = [str(one.url.path) for one in emulator]
    assert sorted(asked) == sorted(PATHS[kind] for kind in kinds)
    assert {one.method.value for one in emulator if one.method is not None} == {"GET"}


async def test_one_namespace_and_labels_are_asked_for(cluster: tuple[kmock.KubernetesEmulator, str]) -> None:
    emulator, url = cluster
    async with KubernetesClient(ClusterAccess(url)) as client:
        found = await client.listing("daemonsets", ["kube-system"], "app in (a,b)")
        nothing = await client.listing("daemonsets", ["oracle"])
    assert [one.name for one in found.objects] == ["kube-system/agent"]
    assert nothing.objects == ()
    first = next(iter(emulator)).url
    assert first.query["labelSelector"] == "app in (a,b)"
    assert first.path == "/apis/apps/v1/namespaces/kube-system/daemonsets"


async def test_refusals_over_http_are_the_kinds_own(cluster: tuple[kmock.KubernetesEmulator, str]) -> None:
    emulator, url = cluster
    words = 'pods is forbidden: User "probe" cannot list resource "pods"'
    emulator["get /api/v1/pods"] << 403 << {"kind": "Status", "message": words, "code": 403}
    emulator["get /apis/batch/v1/jobs"] << 500 << {"kind": "Status", "message": "etcd is gone", "code": 500}
    async with KubernetesClient(ClusterAccess(url), retry=NO_RETRY) as client:
        found = await client.listings(["deployments", "pods", "jobs", "tls_secrets"])
    deployments, pods, missing = found["deployments"], found["pods"], found["tls_secrets"]
    assert isinstance(deployments, Listing)
    assert isinstance(pods, Listing)
    assert isinstance(missing, Listing)
    assert (len(deployments.objects), deployments.problems) == (2, ())
    assert [(one.kind, one.message) for one in pods.problems] == [("not_entitled", f"may not list pods: {words}")]
    assert [(one.kind, one.message) for one in missing.problems] == [("not_served", "the server has no secrets of v1")]
    assert isinstance(found["jobs"], ServerError)


def paged(emulator: kmock.KubernetesEmulator, server: ApiServer) -> None:
    """kmock gives no pages by itself: these answers are ours, over its HTTP."""
    reaction: Any = vars(kmock)["Response"]  # not among its exported names

    def answer(request: kmock.Request) -> Any:
        status, body = server.answer(str(request.url))
        return reaction(status=status, payload=json.loads(body))

    emulator["get /api/v1/pods"] << answer


async def test_a_list_comes_in_pages(cluster: tuple[kmock.KubernetesEmulator, str]) -> None:
    emulator, url = cluster
    paged(emulator, ApiServer({"pods": [MAKE.pod(f"a/{number}") for number in range(7)]}))
    async with KubernetesClient(ClusterAccess(url), page_size=3) as client:
        found = await client.listing("pods")
    assert [one.name for one in found.objects] == [f"a/{number}" for number in range(7)]
    assert [(one.url.query["limit"], one.url.query.get("continue")) for one in emulator] == [
        ("3", None),
        ("3", "3"),
        ("3", "6"),
    ]


@pytest.mark.parametrize(("expired", "asked"), [(1, [None, "3", None, "3", "6"]), (2, [None, "3", None, "3"])])
async def test_pages_of_a_state_that_is_gone_are_begun_anew_once(
    expired: int, asked: list[str | None], cluster: tuple[kmock.KubernetesEmulator, str]
) -> None:
    emulator, url = cluster
    paged(emulator, ApiServer({"pods": [MAKE.pod(f"a/{number}") for number in range(7)]}, expire=expired))
    async with KubernetesClient(ClusterAccess(url), page_size=3) as client:
        if expired == 1:
            assert len((await client.listing("pods")).objects) == 7
        else:
            with pytest.raises(StatusError) as caught:
                await client.listing("pods")
            assert caught.value.status == 410
    assert [one.url.query.get("continue") for one in emulator] == asked


async def test_more_than_is_to_be_read_is_told(cluster: tuple[kmock.KubernetesEmulator, str]) -> None:
    emulator, url = cluster
    paged(emulator, ApiServer({"pods": [MAKE.pod(f"a/{number}") for number in range(7)]}))
    async with KubernetesClient(ClusterAccess(url), page_size=2, most_objects=3) as client:
        found = await client.listing("pods")
    assert len(found.objects) == 4
    assert [one.kind for one in found.problems] == ["truncated"]


@pytest.mark.parametrize("same", [True, False])
async def test_pages_that_never_end_are_left(same: bool) -> None:
    clock = FakeClock()
    given = iter(range(10_000))

    def answer(request: Request) -> Any:
        token = "same" if same else str(next(given))
        body = {"metadata": {"continue": token}, "items": [MAKE.pod("a/b")]}
        return reply(200, json.dumps(body), clock=clock)

    wire = ReplyTransport(answer)
    async with KubernetesClient(ClusterAccess(SERVER), transport=wire, clock=clock, most_objects=20) as client:
        found = await client.listing("pods")
    assert len(wire.requests) == (2 if same else 20)
    assert [one.kind for one in found.problems] == ["truncated"]


async def test_an_endless_list_of_nothing_ends_with_its_time() -> None:
    clock = FakeClock()
    given = iter(range(10_000))

    async def answer(request: Request) -> Any:
        assert request.deadline_ns is not None
        if clock.monotonic_ns() >= request.deadline_ns:
            return DeadlineExceeded("late", phase="queue")
        await clock.advance(timedelta(seconds=1))
        return reply(200, json.dumps({"metadata": {"continue": str(next(given))}, "items": []}), clock=clock)

    async with KubernetesClient(ClusterAccess(SERVER), transport=ReplyTransport(answer), clock=clock, retry=NO_RETRY) as client:
        with pytest.raises(DeadlineExceeded):
            await client.listing("pods")


# -- who asks ----------------------------------------------------------------------------------------------------------------


async def headers_of(access: ClusterAccess, statuses: tuple[int, ...] = (200,)) -> list[str]:
    """What the Authorization header of each request was, where answers have these statuses in turn."""
    clock, left = FakeClock(), list(statuses)
    server = ApiServer({"pods": []}, clock)

    def answer(request: Request) -> Any:
        server.refused = {} if (status := left.pop(0)) == 200 else {"pods": (status, "no")}
        return server(request)

    wire = ReplyTransport(answer)
    async with KubernetesClient(access, transport=wire, clock=clock, retry=NO_RETRY) as client:
        try:
            await client.listing("pods")
        except Unauthorized:
            pass
    assert not left
    found = [dict(one.headers).get("authorization", "") for one in wire.requests]
    assert all(SECRET not in repr(one) for one in wire.requests)
    return [one if isinstance(one, str) else one.reveal() for one in found]


async def test_a_token_is_sent_and_shown_nowhere(tmp_path: Path) -> None:
    access = load_access(kubeconfig(tmp_path, user={"token": SECRET}))
    assert SECRET not in repr(access)
    assert await headers_of(access) == [f"Bearer {SECRET}"]
    # One that is refused is refused; there is no other.
    assert await headers_of(access, (401,)) == [f"Bearer {SECRET}"]


async def test_a_name_and_password(tmp_path: Path) -> None:
    access = load_access(kubeconfig(tmp_path, user={"username": "u", "password": SECRET}))
    assert await headers_of(access) == [f"Basic {base64.b64encode(f'u:{SECRET}'.encode()).decode()}"]


async def test_nobody_in_particular(tmp_path: Path) -> None:
    assert await headers_of(load_access(kubeconfig(tmp_path))) == [""]


async def test_a_token_file_beside_the_kubeconfig_is_read_each_time(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    access = load_access(kubeconfig(tmp_path, user={"tokenFile": "token"}))
    assert await headers_of(access) == ["Bearer first"]
    (tmp_path / "token").write_text("second")
    # And once more where the server refuses it: it may have been replaced in between.
    assert await headers_of(access, (401, 200)) == ["Bearer second"] * 2
    (tmp_path / "token").write_text("")
    with pytest.raises(ConfigError, match="token is empty"):
        await access.headers()
    (tmp_path / "token").unlink()
    with pytest.raises(ConfigError, match="cannot be read: FileNotFoundError"):
        await access.headers()


@pytest.mark.parametrize("by", ["file", "token", "plugin", "password"])
async def test_a_server_that_repeats_what_it_was_sent_does_not_make_it_known(by: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    told = json.dumps({"status": {"token": SECRET}})
    users = {
        "file": {"tokenFile": "token"},
        "token": {"token": SECRET},
        "plugin": plugin(tmp_path, f"print({told!r})"),
        "password": {"username": "u", "password": SECRET},
    }
    clock = FakeClock()
    records: list[RequestRecord] = []
    sent = base64.b64encode(f"u:{SECRET}".encode()).decode() if by == "password" else SECRET
    wire = ReplyTransport(lambda _: reply(403, json.dumps({"message": f"{sent} of {SECRET} may not"}), clock=clock))
    access = load_access(kubeconfig(tmp_path, user=users[by]), clock=clock)
    async with KubernetesClient(access, transport=wire, clock=clock, observer=records.append) as client:
        found = await client.listing("pods")
        (tmp_path / "token").write_text("another")
        # What answered the one before may be shown when the next one was sent already.
        await client.listing("jobs")
        assert redact(f"late: {SECRET}") == "late: [redacted]"
    [problem] = found.problems
    assert problem.message.endswith(" of [redacted] may not")
    assert len(records) == 2
    for shown in (problem, *records):
        assert SECRET not in repr(shown)
        assert sent not in repr(shown)


@pytest.mark.parametrize("go", [True, False])
async def test_a_secret_that_json_escapes_is_shown_in_neither_spelling(go: bool, tmp_path: Path) -> None:
    password = 'c0nary-987"<\\é>&654'
    clock = FakeClock()
    records: list[RequestRecord] = []
    body = json.dumps({"message": f"{password} may not, {password}"})
    if go:
        body = body.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    wire = ReplyTransport(lambda _: reply(403, body, clock=clock))
    access = load_access(kubeconfig(tmp_path, user={"username": "u", "password": password}), clock=clock)
    async with KubernetesClient(access, transport=wire, clock=clock, observer=records.append) as client:
        found = await client.listing("pods")
    [problem] = found.problems
    assert problem.message == "may not list pods: [redacted] may not, [redacted]"
    assert len(records) == 1
    assert not any(one in repr((problem, records)) for one in ("c0nary", "654"))


def in_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "token").write_text(SECRET)
    (folder / "namespace").write_text("oracle")
    trustme.CA().cert_pem.write_to_path(folder / "ca.crt")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    from lightkube.config.kubeconfig import KubeConfig

    at_home = KubeConfig.from_env
    monkeypatch.setattr(KubeConfig, "from_env", lambda: at_home(service_account=str(folder)))


async def test_in_a_pod_its_service_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_cluster(tmp_path, monkeypatch)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    access = load_access()
    assert access.server == "https://[fd00::1]:443"
    assert access.tls is not None
    assert len(access.tls.get_ca_certs()) == 1
    assert await headers_of(access) == [f"Bearer {SECRET}"]


async def test_elsewhere_the_kubeconfig_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path))
    access = load_access()
    assert (access.server, access.tls, access.context) == (SERVER, None, "one")


# -- exec plugins ------------------------------------------------------------------------------------------------------------


def plugin(folder: Path, body: str, version: str = "v1") -> dict[str, Any]:
    """A user whose plugin is a Python program with that body."""
    script = folder / "plugin"
    script.write_text(f"#!{sys.executable}\n{body}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    env = [{"name": "GIVEN", "value": SECRET}]
    api = f"client.authentication.k8s.io/{version}"
    return {"exec": {"apiVersion": api, "command": str(script), "args": ["--x"], "env": env, "interactiveMode": "Never"}}


COUNTING = """
import json, os, pathlib, sys
seen = pathlib.Path(__file__).with_name("seen")
number = len(seen.read_text()) if seen.exists() else 0
seen.write_text("x" * (number + 1))
asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert asked["spec"] == {"interactive": False} and sys.argv[1:] == ["--x"]
status = {"token": f"{os.environ['GIVEN']}-{number}", "expirationTimestamp": "2026-01-01T00:10:00Z"}
print(json.dumps({"apiVersion": asked["apiVersion"], "kind": "ExecCredential", "status": status}))
"""


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_a_plugin_is_asked_once_until_its_token_ends_or_is_refused(version: str, tmp_path: Path) -> None:
    clock = FakeClock(Instant.parse("2026-01-01T00:00:00Z"))
    access = load_access(kubeconfig(tmp_path, user=plugin(tmp_path, COUNTING, version)), clock=clock)
    assert await headers_of(access) == [f"Bearer {SECRET}-0"]
    assert await headers_of(access) == [f"Bearer {SECRET}-0"]
    assert await headers_of(access, (401, 200)) == [f"Bearer {SECRET}-0", f"Bearer {SECRET}-1"]
    await clock.advance(timedelta(minutes=9, seconds=1))
    assert await headers_of(access) == [f"Bearer {SECRET}-2"]
    assert SECRET not in repr(access)


async def test_a_plugin_is_asked_once_for_lists_that_begin_together(tmp_path: Path) -> None:
    clock = FakeClock(Instant.parse("2026-01-01T00:00:00Z"))
    access = load_access(kubeconfig(tmp_path, user=plugin(tmp_path, COUNTING)), clock=clock)
    server = ApiServer(MAKE.healthy(), clock)

    def answer(request: Request) -> Any:
        sent = dict(request.headers)["authorization"]
        assert not isinstance(sent, str)
        given.append(sent.reveal().removeprefix(f"Bearer {SECRET}-"))
        return reply(401, "", clock=clock) if given[-1] == "0" else server(request)

    given: list[str] = []
    async with KubernetesClient(access, transport=ReplyTransport(answer), clock=clock, retry=NO_RETRY) as client:
        found = await client.listings(["pods", "jobs", "deployments"])
    assert all(isinstance(one, Listing) for one in found.values())
    assert sorted(given) == ["0", "0", "0", "1", "1", "1"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import sys; print('c4nary-0123456789abcdef', file=sys.stderr); sys.exit(3)", "ended with 3"),
        ("print('c4nary-0123456789abcdef')", "wrote no ExecCredential"),
        ('print(\'{"status": {"clientCertificateData": "c4nary-0123456789abcdef"}}\')', "gave no token"),
        ("while True: print('c4nary-0123456789abcdef' * 1000)", "ended with|wrote no"),
    ],
)
async def test_a_plugin_that_fails_is_told_in_words_of_ours(body: str, words: str, tmp_path: Path) -> None:
    access = load_access(kubeconfig(tmp_path, user=plugin(tmp_path, body)))
    with pytest.raises(ConfigError, match=words) as caught:
        await access.headers()
    assert "c4nary" not in str(caught.value)


async def test_a_plugin_that_hangs_is_ended(tmp_path: Path) -> None:
    import asyncio

    clock = FakeClock()
    access = load_access(kubeconfig(tmp_path, user=plugin(tmp_path, "import time; time.sleep(300)")), clock=clock)
    task = asyncio.ensure_future(access.headers())
    while not clock.sleeping:
        await asyncio.sleep(0.001)
    await clock.advance(timedelta(seconds=15))
    with pytest.raises(ConfigError, match="did not answer in 15 s"):
        await task


async def test_a_plugin_that_is_not_there(tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(tmp_path / "nothing")}}
    with pytest.raises(ConfigError, match="does not start: No such file"):
        await load_access(kubeconfig(tmp_path, user=user)).headers()


# -- what is refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.pop("current-context"), "No current context"),
        (lambda one: one.update({"current-context": "other"}), "Context 'other' not found"),
        (lambda one: one["contexts"][0]["context"].update(cluster="x"), "has no 'x'"),
        (lambda one: one["contexts"][0]["context"].update(user="x"), "has no 'x'"),
        (lambda one: one.pop("clusters"), "has no 'clusters'"),
        (lambda one: one["clusters"][0]["cluster"].update(server="ftp://x"), "no http or https URL"),
        (lambda one: one["users"][0]["user"].update(token=[SECRET]), "cannot be read as a kubeconfig"),
        (lambda one: one["users"][0]["user"].update({"auth-provider": {"name": "gcp"}}), "auth-provider"),
        (lambda one: one["users"][0]["user"].update(exec={"apiVersion": "v9", "command": "x"}), "speaks v9"),
        (
            lambda one: one["clusters"][0]["cluster"].update({"server": "https://x", "certificate-authority": "ca"}),
            "cannot be used",
        ),
        (
            lambda one: one["clusters"][0]["cluster"].update({"server": "https://x", "certificate-authority-data": "!!!"}),
            "cannot be used",
        ),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_told_without_what_is_in_it(change: Any, words: str, tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, user={"token": SECRET})
    found = json.loads(Path(path).read_text())
    change(found)
    Path(path).write_text(json.dumps(found))
    with pytest.raises(ConfigError, match=words) as caught:
        load_access(path)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["token: [c4nary-0123456789abcdef", "c4nary-0123456789abcdef", "", "- 1", "\x00", "\ud800"])
def test_a_file_that_is_no_kubeconfig(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError) as caught:
        load_access(str(path))
    assert "c4nary" not in str(caught.value)


def test_a_key_that_does_not_fit_is_told_without_it(tmp_path: Path) -> None:
    one, other = (trustme.CA().issue_cert("probe") for _ in range(2))

    def data(blob: trustme.Blob) -> str:
        return base64.b64encode(blob.bytes()).decode()

    user = {"client-certificate-data": data(one.cert_chain_pems[0]), "client-key-data": data(one.private_key_pem)}
    assert load_access(kubeconfig(tmp_path, "https://x", user)).tls is not None
    user["client-key-data"] = data(other.private_key_pem)
    with pytest.raises(ConfigError, match="cannot be used: KEY_VALUES_MISMATCH"):
        load_access(kubeconfig(tmp_path, "https://x", user))
    del user["client-key-data"]
    with pytest.raises(ConfigError, match="cannot be used"):
        load_access(kubeconfig(tmp_path, "https://x", user))


def test_limits_of_a_client() -> None:
    for wrong in ({"page_size": 0}, {"most_objects": 0}):
        with pytest.raises(ValueError, match="must be positive"):
            KubernetesClient(ClusterAccess(SERVER), transport=ReplyTransport(ApiServer({})), **wrong)  # type: ignore[arg-type]


def test_without_the_extra_it_says_which_package_mends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.split(".")[0] == "lightkube"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lightkube", None)
    with pytest.raises(ConfigError, match="Kubernetes needs lightkube: pip install 'lightkube"):
        load_access(kubeconfig(tmp_path))


async def test_certificates_are_looked_at_once_an_hour_where_nobody_is_trusted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    looked: list[str] = []

    def end(secret: TlsSecret, *_: object) -> tuple[Instant, str]:
        looked.append(secret.name)
        return clock.now(), ""

    monkeypatch.setattr("probekit.clients.kubernetes._end", end)
    clock, pem = FakeClock(), b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----\n"
    server = ApiServer(
        {"tls_secrets": [MAKE.tls_secret("a/one", pem % b"AAAA"), MAKE.tls_secret("a/two", pem % b"BBBB")]}, clock
    )
    async with KubernetesClient(ClusterAccess(SERVER), transport=ReplyTransport(server), clock=clock) as client:
        for _ in range(3):
            assert len((await client.listing("tls_secrets")).objects) == 2
    assert looked == ["a/one", "a/two"]
