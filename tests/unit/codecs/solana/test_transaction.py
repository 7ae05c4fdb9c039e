"""What a signed transaction says of itself, against solders, and mutated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey as SoldersPubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from probekit.codecs.solana.transaction import decode_sent, decode_signed_transaction
from probekit.errors import DecodeError
from probekit.model.pubkey import Pubkey
from tests.support.mutation import decodes_or_refuses, mutations

SEEDS = st.binary(min_size=32, max_size=32)


def signed(seeds: list[bytes], *, versioned: bool) -> VersionedTransaction:
    keys = [Keypair.from_seed(seed) for seed in seeds]
    moves = [
        transfer(TransferParams(from_pubkey=key.pubkey(), to_pubkey=SoldersPubkey.new_unique(), lamports=1)) for key in keys
    ]
    payer = keys[0].pubkey()
    message = (
        MessageV0.try_compile(payer, moves, [], Hash.default())
        if versioned
        else Message.new_with_blockhash(moves, payer, Hash.default())
    )
    return VersionedTransaction(message, keys)


@given(st.lists(SEEDS, min_size=1, max_size=4, unique=True), st.booleans())
def test_it_is_what_solders_says(seeds: list[bytes], versioned: bool) -> None:
    made = signed(seeds, versioned=versioned)
    found = decode_signed_transaction(bytes(made))
    assert found.signature == str(made.signatures[0])
    assert found.signatures == len(seeds)
    assert found.fee_payer == Pubkey(bytes(made.message.account_keys[0]))
    assert decode_sent(found.signature, found) == found.signature


def test_mutated_bytes_decode_or_are_refused() -> None:
    for versioned in (False, True):
        raw = bytes(signed([bytes([number]) * 32 for number in (1, 2)], versioned=versioned))
        for one in mutations(raw):
            decodes_or_refuses(decode_signed_transaction, one)


def test_what_is_none_is_refused_in_words() -> None:
    message = signed([bytes([1]) * 32], versioned=False).message
    content = to_bytes_versioned(message)[:]
    own = bytes(Signature.default())
    for raw, words in (
        (b"", "needed"),
        (b"\x00" + content, "no signature"),
        (b"\x02" + own + own + content, "2 signatures, and a message that wants 1"),
        (b"\x01" + own + b"\x81" + content, "version 1, which this release does not know"),
        (b"\x81\x00" + own + content, "compact-u16"),
        (b"\xff\xff\xff" + own, "compact-u16"),
    ):
        with pytest.raises(DecodeError, match=words):
            decode_signed_transaction(raw)


@pytest.mark.parametrize("answer", [None, 7, "", "ok", str(Signature.default()), {"signature": "x"}])
def test_an_answer_about_another_is_none(answer: object) -> None:
    found = decode_signed_transaction(bytes(signed([bytes([1]) * 32], versioned=True)))
    with pytest.raises(DecodeError, match="the answer is about"):
        decode_sent(answer, found)
