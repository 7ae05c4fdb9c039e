"""A secret shows nowhere: not in repr, str, format, pickle or JSON, and in no text that passed redaction."""

from __future__ import annotations

import base64
import gc
import json
import pickle
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.errors import DecodeError, ProbekitError, StatusError
from probekit.secret import MASK, Secret, redact, redact_bytes, redact_url

CANARY = "c4nary/+secret=value&9f8e7d"


def test_a_secret_is_masked_everywhere() -> None:
    secret = Secret(CANARY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>20}", "%s" % secret]  # noqa: UP031
    shown.append(msgspec.json.encode({"key": secret}, enc_hook=str).decode())
    shown.append(pickle.dumps(secret).decode("latin-1"))
    assert not [text for text in shown if CANARY in text]
    assert secret.reveal() == CANARY
    assert pickle.loads(pickle.dumps(secret)).reveal() == MASK


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_redaction_finds_every_spelling(before: bytes, after: bytes) -> None:
    secret = Secret(CANARY)
    raw = secret.reveal().encode()
    wrapped = base64.b64encode(before + raw + after).decode()
    urlsafe = base64.urlsafe_b64encode(before + raw + after).decode()
    for text in (CANARY, quote(CANARY, safe=""), quote(CANARY), raw.hex()):
        assert text not in redact(f"x {text} y")
    for text in (wrapped, urlsafe):
        assert raw not in _decodable(redact(text))
        assert MASK in redact(text)


def _decodable(text: str) -> bytes:
    try:
        return base64.b64decode(text.replace(MASK, ""))
    except ValueError:
        return b""


@pytest.mark.parametrize("value", ['pass"word', "back\\slash", "p<w>d&1", "contraseña", 'all "of<\\é>& it'])
def test_what_json_escapes_is_found_escaped(value: str) -> None:
    secret = Secret(value)
    plain = (json.dumps(secret.reveal()), json.dumps(secret.reveal(), ensure_ascii=False))
    # Go escapes what HTML would read.
    for text in (*plain, *(one.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026") for one in plain)):
        assert redact(text) == f'"{MASK}"'


@pytest.mark.parametrize(
    "text",
    [r"ab\/cd+ef'gh==<", r"ab/cd+ef\u0027gh\u003d\u003d\u003c", r"ab/cd\u002Bef\u0027gh==\u003C"],
    ids=["PHP", "Gson", ".NET"],
)
def test_what_some_writers_of_json_escape_beside_that_is_found(text: str) -> None:
    secret = Secret("ab/cd+ef'gh==<")
    assert json.loads(f'"{text}"') == secret.reveal()
    assert redact(f'"{text}"') == f'"{MASK}"'


def test_redaction_of_bytes() -> None:
    secret = Secret(CANARY)
    assert secret.reveal().encode() not in redact_bytes(b"\xff" + CANARY.encode() + b"\x00")


def test_errors_are_redacted_when_made() -> None:
    secret = Secret(CANARY)
    for error in (
        ProbekitError(f"refused {secret.reveal()}"),
        StatusError("no", status=500, body=f"echo {secret.reveal()}"),
    ):
        assert CANARY not in repr(error) + str(vars(error))


@pytest.mark.parametrize(
    ("url", "gone"),
    [
        ("https://user:hunter22@host/path", "hunter22"),
        ("https://host/v2/abcdef0123456789abcdef0123456789", "abcdef0123456789abcdef0123456789"),
        ("https://host/x?ACCESS_TOKEN=tok123&ids[]=1", "tok123"),
        ("https://host/x?api-key=tok123", "tok123"),
        ("wss://host/a1b2c3d4e5f6a7b8c9d0e1/rpc?x=1", "a1b2c3d4e5f6a7b8c9d0e1"),
    ],
)
def test_urls_lose_what_looks_like_a_key(url: str, gone: str) -> None:
    shown = redact_url(url)
    assert gone not in shown
    assert "host" in shown


@pytest.mark.parametrize("name", ["access_key", "Subscription-Key", "appkey", "account.key", "jwt", "bearer", "authorization"])
def test_other_names_of_keys(name: str) -> None:
    assert redact_url(f"https://host/?a=1&{name}=t0ken&b=2") == f"https://host/?a=1&{name}={MASK}&b=2"


def test_a_password_with_an_at_sign_is_whole_when_it_is_masked() -> None:
    assert redact_url("see https://u:p@ss@w0rd@host/x?y=a@b") == f"see https://{MASK}@host/x?y=a@b"


def test_urls_keep_what_is_not_a_key() -> None:
    url = "https://hermes.pyth.network/v2/updates/price/latest?ids[]=" + "e6" * 32 + "&encoding=hex"
    assert redact_url(url) == url


def test_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hermes-key").write_text("from-file\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("HERMES_API_KEY", "from-env")
    assert Secret.parse("env:HERMES_API_KEY").reveal() == "from-env"
    assert Secret.parse(f"file:{tmp_path / 'hermes-key'}").reveal() == "from-file"
    assert Secret.parse("credential:hermes-key").reveal() == "from-file"
    with pytest.raises(ValueError, match="name"):
        Secret.credential("../hermes-key")
    with pytest.raises(LookupError, match="NOT_SET_ANYWHERE"):
        Secret.env("NOT_SET_ANYWHERE")


def test_a_literal_is_refused_and_not_echoed() -> None:
    with pytest.raises(ValueError, match="by reference") as caught:
        Secret.parse("sk-live-literal")
    assert "sk-live-literal" not in str(caught.value)


def test_an_empty_secret_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        Secret("  \n")


def test_decode_error_keeps_a_bounded_raw() -> None:
    error = DecodeError("not that", raw=b"x" * 200_000, offset=7)
    assert (len(error.raw), error.raw_length, error.offset) == (65_536, 200_000, 7)


@pytest.mark.parametrize("order", [1, -1])
def test_a_secret_that_is_a_part_of_another_leaves_nothing_of_it(order: int) -> None:
    kept = [Secret(value) for value in ("short-key", "short-key-and-the-rest")[::order]]
    assert redact("a short-key-and-the-rest b short-key c") == f"a {MASK} b {MASK} c"
    del kept[(0, 1)[order > 0]]
    gc.collect()
    assert redact("short-key-and") == f"{MASK}-and"
    another = Secret("short-key-and")
    assert redact("short-key-and") == MASK, "one that is made later counts at once"
    del another, kept
    gc.collect()


def test_of_two_equal_secrets_the_survivor_is_still_redacted() -> None:
    first = Secret("one-and-the-same-key")
    second = Secret("one-and-the-same-key")
    assert first == second
    del first
    gc.collect()
    assert redact("key=one-and-the-same-key") == f"key={MASK}"
    del second
    gc.collect()
    assert redact("key=one-and-the-same-key") == "key=one-and-the-same-key"


def test_what_a_header_was_made_of_is_redacted_as_long_as_the_header_lives() -> None:
    """A server that repeats a key leaves the word before it out."""
    header = Secret("Bearer a-key-of-some-length", made_of=Secret("a-key-of-some-length"))
    gc.collect()
    assert redact("the key a-key-of-some-length is not allowed") == f"the key {MASK} is not allowed"
    del header
    gc.collect()
    assert redact("a-key-of-some-length") == "a-key-of-some-length"
