"""Program derived addresses: ``sha256(seeds, program, "ProgramDerivedAddress")`` where that is no point of the ed25519 curve.

No private key exists for such an address, so only the program can sign for it. Source: Solana documentation, "Program Derived
Address"; ``solana-pubkey`` ``find_program_address``; RFC 8032 section 5.1.3 for the curve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from probekit.model.pubkey import Pubkey

MAX_SEEDS: Final = 16
MAX_SEED_SIZE: Final = 32
_MARKER: Final = b"ProgramDerivedAddress"

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_Y_MASK: Final = (1 << 255) - 1


def is_on_curve(key: bytes) -> bool:
    """Whether 32 bytes are an encoded point of ed25519: then a private key may exist for them.

    The y coordinate is taken modulo p and the sign bit of x does not matter, as in curve25519-dalek, which the validators run.
    Raises ``ValueError`` for another length.
    """
    if len(key) != 32:
        raise ValueError(f"an encoded point has 32 bytes, not {len(key)}")
    y = int.from_bytes(key, "little") & _Y_MASK
    y2 = y * y % _P
    # x² = (y² - 1) / (d·y² + 1) is a square exactly when the product of both is one; the divisor is never zero.
    return pow((y2 - 1) * (_D * y2 + 1), (_P - 1) // 2, _P) != _P - 1


def create_program_address(seeds: Sequence[bytes], program: Pubkey) -> Pubkey:
    """The address of ``seeds``, a bump among them where there is one.

    Raises ``ValueError`` above 16 seeds or 32 bytes in one, and where the hash is a point of the curve.
    """
    address = _hash(_joined(seeds, MAX_SEEDS), program)
    if is_on_curve(address):
        raise ValueError("these seeds give a point of the curve; another bump is needed")
    return Pubkey(address)


def find_program_address(seeds: Sequence[bytes], program: Pubkey) -> tuple[Pubkey, int]:
    """The address and its bump: the highest byte that, as last seed, takes the hash off the curve.

    Raises ``ValueError`` above 15 seeds or 32 bytes in one. It takes two tries on average.
    """
    joined = _joined(seeds, MAX_SEEDS - 1)
    for bump in range(255, -1, -1):
        address = _hash(joined + bytes((bump,)), program)
        if not is_on_curve(address):
            return Pubkey(address), bump
    # Each try fails with probability 1/2.
    raise ValueError("no bump takes these seeds off the curve")


def _joined(seeds: Sequence[bytes], limit: int) -> bytes:
    if len(seeds) > limit:
        raise ValueError(f"{len(seeds)} seeds; at most {limit} are allowed")
    for seed in seeds:
        if len(seed) > MAX_SEED_SIZE:
            raise ValueError(f"a seed of {len(seed)} bytes; at most {MAX_SEED_SIZE} are allowed")
    return b"".join(seeds)


def _hash(seeds: bytes, program: Pubkey) -> bytes:
    if len(program) != 32:
        raise ValueError(f"a program id has 32 bytes, not {len(program)}")
    return hashlib.sha256(seeds + program + _MARKER).digest()
