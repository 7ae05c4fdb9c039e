"""Options of the catalogue's probes that cannot be meant are told when they are read, not at the first tick."""

from __future__ import annotations

import pytest

from tests.support.sandbox import load, module_of

ADDRESS = "0x" + "ab" * 20


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ([("pro", 1, ("0xnothex",))], "non-hexadecimal"),
        ([("pro", 1, ("0xabcd",))], "20 bytes"),
        ([("core", 1, ())], "1 to 255 signers"),
        ([("pro", 1, (ADDRESS, ADDRESS))], "a signer twice"),
        ([("pro", 1, (ADDRESS,)), ("pro", 1, (ADDRESS,))], "share a root and an index"),
    ],
)
def test_signer_sets_that_are_none(sets: list[tuple[str, int, tuple[str, ...]]], words: str) -> None:
    probe = load("hermes_proof")
    option = module_of(probe).SignerSetOption
    with pytest.raises(ValueError, match=words):
        probe.options(
            feeds=("Crypto.BTC/USD",),
            signer_sets=tuple(option(root=root, index=index, signers=signers) for root, index, signers in sets),
        )


def test_an_endpoint_agrees_with_itself_always() -> None:
    with pytest.raises(ValueError, match="at least two different endpoints"):
        load("hermes_agreement").options(endpoints=("http://a", "http://a"), feeds=("Crypto.BTC/USD",))
