"""The account in which the Solana verifier keeps its trusted signers, both ways.

Layout: discriminator 8 · authority 32 · treasury 32 · fee u64 · count u8 · 5 times (ed25519 key 32, expiry i64) · count u8 ·
2 times (address 20, expiry i64) · 43 spare. Little-endian; only the first so many slots count, the others may hold anything.
Source: pyth-lazer-public ``contracts/solana/programs/pyth-lazer-solana-contract/src/lib.rs``.
"""

from __future__ import annotations

from typing import Final

from probekit.codecs.solana.addresses import LAZER_PROGRAM
from probekit.codecs.solana.borsh import Reader, account_discriminator, exactly, padded, signed, unsigned
from probekit.codecs.solana.pda import find_program_address
from probekit.model.lazer import LazerSigner, LazerStorage
from probekit.model.pubkey import Pubkey
from probekit.units import Instant

SIZE: Final = 381
DISCRIMINATOR: Final = account_discriminator("Storage")
SIGNER_SLOTS: Final = 5
ECDSA_SLOTS: Final = 2


def storage_address(program: Pubkey = LAZER_PROGRAM) -> Pubkey:
    """Where a deployment of the verifier keeps it."""
    return find_program_address((b"storage",), program)[0]


def decode_storage(data: bytes) -> LazerStorage:
    """Decode the account. Raises ``DecodeError``. The spare bytes at its end are ignored."""
    reader = Reader(data, "a Lazer storage account")
    reader.discriminator(DISCRIMINATOR)
    authority, treasury, fee = reader.key(), reader.key(), reader.unsigned(8)
    signers = _signers(reader, SIGNER_SLOTS, 32)
    return LazerStorage(authority, treasury, fee, signers, _signers(reader, ECDSA_SLOTS, 20))


def _signers(reader: Reader, slots: int, size: int) -> tuple[LazerSigner, ...]:
    count = reader.tag(1, slots + 1)
    found = [LazerSigner(reader.take(size), Instant.from_seconds(reader.signed(8))) for _ in range(slots)]
    return tuple(found[:count])


def encode_storage(account: LazerStorage) -> bytes:
    """The account's bytes. Raises ``ValueError`` when a part does not fit, or a signer has no expiry."""
    return padded(
        DISCRIMINATOR
        + exactly(account.top_authority, 32, "an authority")
        + exactly(account.treasury, 32, "a treasury")
        + unsigned(account.fee_lamports, 8)
        + _encoded(account.signers, SIGNER_SLOTS, 32)
        + _encoded(account.ecdsa_signers, ECDSA_SLOTS, 20),
        SIZE,
    )


def _encoded(signers: tuple[LazerSigner, ...], slots: int, size: int) -> bytes:
    if len(signers) > slots:
        raise ValueError(f"{len(signers)} signers; there is room for {slots}")
    filled = bytes((len(signers),))
    for signer in signers:
        if signer.expires_at is None:
            raise ValueError(f"{signer}: an account states when its signers expire")
        filled += exactly(signer.key, size, "a signer") + signed(signer.expires_at.seconds, 8)
    return filled + bytes((size + 8) * (slots - len(signers)))
