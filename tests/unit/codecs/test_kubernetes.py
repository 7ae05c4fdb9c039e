"""Pages of the Kubernetes API: every object decodes or is a problem of its own, whatever is done to the bytes."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.kubernetes import decode_page, place_of
from probekit.errors import DecodeError
from probekit.model.kubernetes import KINDS, Claim, Job, ObjectKind, Pod, TlsSecret, Workload
from probekit.units import Instant
from tests.support.kubernetes import MINUTE, PATHS, SECRET, Objects
from tests.support.mutation import peak_bytes
from tests.support.pki import issue

NOW = Instant.parse("2026-11-26T13:05:00Z")
MAKE = Objects(NOW)
HEALTHY: dict[str, list[Any]] = {
    **MAKE.healthy(),
    "tls_secrets": [MAKE.tls_secret("a/tls", issue("server").pem, authorities=issue("root").pem)],
}


PEM = b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----\n"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def page(objects: list[Any], **meta: Any) -> bytes:
    return json.dumps({"kind": "List", "metadata": {"resourceVersion": "1", **meta}, "items": objects}).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_where_each_kind_is_listed(kind: ObjectKind) -> None:
    place = place_of(kind)
    assert place.path(None) == PATHS[kind]
    assert place.path("ns") == PATHS[kind].replace(f"/{place.plural}", f"/namespaces/ns/{place.plural}")
    assert (place.selector != "") == (kind == "tls_secrets")


def test_a_pod_is_what_it_says_of_itself_and_nothing_of_its_environment() -> None:
    made = MAKE.pod("a/b", claims=("data",), containers=[MAKE.container("main", 3, ended="OOMKilled", code=137)])
    made["status"]["initContainerStatuses"] = [MAKE.container("init")]
    [pod] = decode_page("pods", page([made])).objects
    assert isinstance(pod, Pod)
    assert (pod.name, pod.phase, pod.unready_since, pod.claims) == ("a/b", "Running", None, ("a/data",))
    assert [one.name for one in pod.containers] == ["init", "main"]
    main = pod.containers[1]
    assert (main.restarts, main.ended, main.ended_code, main.ended_at) == (3, "OOMKilled", 137, NOW.plus(-MINUTE))
    assert SECRET not in repr(pod)


def test_claims_of_a_pods_own_are_named_by_pod_and_volume() -> None:
    [pod] = decode_page("pods", page([MAKE.pod("a/b", claims=("data",), ephemeral=("tmp",))])).objects
    assert isinstance(pod, Pod)
    assert pod.claims == ("a/data", "a/b-tmp")
    own, other = decode_page("persistentvolumeclaims", page([MAKE.claim("a/b-tmp", pod="b"), MAKE.claim("a/data")])).objects
    assert isinstance(own, Claim)
    assert isinstance(other, Claim)
    assert (own.pod, other.pod) == ("a/b", "")


def test_a_secret_is_its_certificates_and_nothing_of_its_key() -> None:
    root, server = (issue(name).pem for name in ("root", "server"))
    text = b"subject=CN=x\n" + server.replace(b"CERTIFICATE", b"X509 CERTIFICATE")
    [found] = decode_page("tls_secrets", page([MAKE.tls_secret("a/b", text, root, authorities=root)])).objects
    assert isinstance(found, TlsSecret)
    ders = tuple(one.public_bytes(Encoding.DER) for one in load_pem_x509_certificates(server + root))
    assert (found.name, found.certificates, found.authorities) == ("a/b", ders, ders[1:])
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "tls.crt holds no certificate"),
        ({"tls.crt": "-"}, "tls.crt is not base64"),
        ({"tls.crt": b64(PEM % b"-")}, "tls.crt holds a certificate that is not PEM"),
        (
            {"tls.crt": b64(PEM % b"AAAA" + b"-----BEGIN CERTIFICATE-----\nAAAA\n")},
            "tls.crt holds a certificate that is not PEM",
        ),
        # Each that does not end was looked for up to the end of all: of a Secret of a MiB that took minutes.
        ({"tls.crt": b64(b"-----BEGIN CERTIFICATE-----" * 38_000)}, "tls.crt holds a certificate that is not PEM"),
        ({"tls.crt": b64(PEM % b"AAAA" * 33)}, "tls.crt holds 33 certificates"),
        ({"tls.crt": 7}, "Expected `str`, got `int` - at `$.data.tls.crt`"),
    ],
)
def test_a_secret_that_does_not_read(data: dict[str, str], words: str) -> None:
    made = {"metadata": MAKE.meta("a/tls"), "data": {**data, "tls.key": SECRET}}
    found = decode_page("tls_secrets", page([made]))
    assert [(one.kind, one.scope, one.message) for one in found.problems] == [("unreadable", "a/tls", words)]


@pytest.mark.parametrize(("authorities", "kept"), [("-", 0), (b64(PEM % b"-"), 0), (b64(PEM % b"AAAA" * 600), 512)])
def test_authorities_of_a_secret_that_do_not_read_are_none(authorities: str, kept: int) -> None:
    made = {"metadata": MAKE.meta("a/tls"), "data": {"tls.crt": b64(PEM % b"AAAA"), "ca.crt": authorities}}
    [found] = decode_page("tls_secrets", page([made])).objects
    assert isinstance(found, TlsSecret)
    assert (found.certificates, len(found.authorities)) == ((b"\0\0\0",), kept)


def test_absent_counts_are_none_and_an_absent_number_of_replicas_is_one() -> None:
    made = {"metadata": MAKE.meta("a/b"), "spec": {}, "status": {"conditions": None}}
    [found] = decode_page("deployments", page([made])).objects
    assert isinstance(found, Workload)
    assert (found.desired, found.ready, found.available, found.observed_generation) == (1, 0, 0, 0)
    assert not found.complete


def test_a_job_of_a_cron_job_knows_whose_it_is() -> None:
    [found] = decode_page("jobs", page([MAKE.job("a/b-1", owner="b")])).objects
    assert isinstance(found, Job)
    assert (found.owner, found.state) == ("a/b", "complete")


def test_the_token_of_the_next_page() -> None:
    assert decode_page("pods", page([], **{"continue": "abc"})).token == "abc"
    assert decode_page("pods", page([])).token == ""
    assert decode_page("pods", b'{"items": null}').objects == ()


@pytest.mark.parametrize("kind", [one for one in KINDS if one != "tls_secrets"])
@pytest.mark.parametrize(
    "broken", [None, 7, [], {}, {"metadata": {"namespace": "a", "name": "b"}}, {"metadata": {"name": SECRET * 50}}]
)
def test_one_that_does_not_read_loses_only_itself(kind: ObjectKind, broken: Any) -> None:
    whole = decode_page(kind, page(HEALTHY[kind]))
    found = decode_page(kind, page([broken, *HEALTHY[kind]]))
    assert (found.objects, len(found.problems)) == (whole.objects, 1)
    [problem] = found.problems
    assert problem.kind == "unreadable"
    assert problem.scope in ("a/b", "object 0") or problem.scope.startswith(SECRET[:10])
    assert len(problem.scope) < 510


def test_a_list_that_is_none_of_secrets_keeps_no_byte_of_them() -> None:
    for kind, kept in (("pods", len(SECRET)), ("tls_secrets", 0)):
        with pytest.raises(DecodeError) as caught:
            decode_page(kind, SECRET.encode())  # type: ignore[arg-type]
        assert caught.value.raw_length == kept
        assert SECRET not in str(caught.value)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=9),
    st.sampled_from([{}, []]),
)


@given(kind=st.sampled_from(KINDS), data=st.data())
def test_a_value_that_is_replaced_by_another_is_read_or_told(kind: ObjectKind, data: st.DataObject) -> None:
    made = copy.deepcopy(data.draw(st.sampled_from(HEALTHY[kind])))
    at: Any = made
    # Down to some leaf, which then is something else.
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            at[key] = data.draw(JUNK)
            break
        at = at[key]
    found = decode_page(kind, page([made, *HEALTHY[kind]]))
    others = decode_page(kind, page(HEALTHY[kind]))
    assert len(found.objects) + len(found.problems) == 1 + len(others.objects) + len(others.problems)
    msgspec.json.encode(found.objects)


@given(kind=st.sampled_from(KINDS), cut=st.integers(0, 5_000), flip=st.integers(0, 5_000), more=st.binary(max_size=8))
def test_damaged_bytes_are_read_or_refused(kind: ObjectKind, cut: int, flip: int, more: bytes) -> None:
    body = bytearray(page(HEALTHY[kind]))
    body[flip % len(body)] ^= 1 << flip % 8
    damaged = bytes(body[: len(body) - cut % len(body)]) + more
    try:
        decode_page(kind, damaged)
    except DecodeError:
        pass


def test_memory_is_bounded_by_what_came() -> None:
    body = page([MAKE.pod("a/b")] * 2_000)
    assert peak_bytes(lambda: decode_page("pods", body)) < 3 * len(body)
    deep = b'{"items": ' + b"[" * 200_000
    with pytest.raises(DecodeError):
        decode_page("pods", deep)
    crowded = MAKE.pod("a/b", containers=[MAKE.container()] * 65)
    [problem] = decode_page("pods", page([crowded])).problems
    assert "65 containers" in problem.message
    with pytest.raises(DecodeError, match="a page of 10001"):
        decode_page("pods", page([0] * 10_001))
