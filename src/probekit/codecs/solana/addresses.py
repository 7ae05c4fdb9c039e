"""Where Pyth's programs and their accounts live on Solana and its kin; the same ids on mainnet and devnet.

Sources: pyth-crosschain ``target_chains/solana/pyth_solana_receiver_sdk/src/lib.rs`` (``pro-compatible`` feature for the second
generation), ``programs/core-bridge/src/lib.rs``, ``sdk/js/pyth_solana_receiver/src/address.ts``; Pyth documentation,
"Upgraded Contract Addresses". Drift: drift-labs/protocol-v2 ``sdk/src/config.ts`` and ``sdk/src/addresses/pda.ts``. SPL tokens:
spl.solana.com. Eclipse, Sonic, Atlas and Fogo list the core programs only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from probekit.codecs.solana.pda import find_program_address
from probekit.model.feed import FeedId
from probekit.model.pubkey import Pubkey
from probekit.model.receiver import ProgramGeneration

SPONSORED_SHARD: Final = 0
"""The shard that Pyth's sponsored push feeds live in; anyone may push to any other."""
TREASURIES: Final = 256
"""Fee accounts of a receiver, one for each u8, so that writers do not wait for each other."""


class Programs(msgspec.Struct, frozen=True):
    """One generation of Pyth's programs."""

    generation: ProgramGeneration
    wormhole: Pubkey
    receiver: Pubkey
    push_oracle: Pubkey

    def receiver_config(self) -> Pubkey:
        """The receiver's configuration account."""
        return receiver_config(self.receiver)

    def treasury(self, treasury_id: int) -> Pubkey:
        """One of the receiver's fee accounts. Raises ``ValueError`` outside 0 to 255."""
        if not 0 <= treasury_id < TREASURIES:
            raise ValueError(f"treasury {treasury_id}; there are 0 to {TREASURIES - 1}")
        return find_program_address((b"treasury", bytes((treasury_id,))), self.receiver)[0]

    def bridge_config(self) -> Pubkey:
        """The Wormhole program's configuration account."""
        return find_program_address((b"Bridge",), self.wormhole)[0]

    def guardian_set(self, index: int) -> Pubkey:
        """The account of a guardian set. Raises ``ValueError`` when ``index`` is no u32."""
        if not 0 <= index < 2**32:
            raise ValueError(f"{index} is no index of a guardian set")
        # Big-endian, alone among the numbers of these programs.
        return find_program_address((b"GuardianSet", index.to_bytes(4, "big")), self.wormhole)[0]

    def push_feed(self, feed_id: FeedId, shard_id: int = SPONSORED_SHARD) -> Pubkey:
        """The account that the push oracle keeps a feed's price in. Raises ``ValueError`` when ``shard_id`` is no u16."""
        return push_feed(self.push_oracle, feed_id, shard_id)[0]


CORE: Final = Programs(
    ProgramGeneration.CORE,
    wormhole=Pubkey("HDwcJBJXjL9FpJ7UBsYBtaDjsBUhuLCUYoz3zr8SWWaQ"),
    receiver=Pubkey("rec5EKMGg6MxZYaMdyBfgwp4d5rB9T1VQH5pJv5LtFJ"),
    push_oracle=Pubkey("pythWSnswVUd12oZpeFP8e9CVaEqJg25g1Vtc2biRsT"),
)
PRO: Final = Programs(
    ProgramGeneration.PRO,
    wormhole=Pubkey("HDw2E7P8X1SkCyjvoGsfBGAVUutKcj874bXjHrpVYrVL"),
    receiver=Pubkey("rec2HHDDnjLfj4kE7VyEtFA1HPGQLK33259532cRyHp"),
    push_oracle=Pubkey("pyt2F414BA6dPttK6RddPZUdHfapoBN24GL5wbrPCou"),
)
GENERATIONS: Final = {programs.generation: programs for programs in (CORE, PRO)}

DRIFT_PROGRAM: Final = Pubkey("dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH")
DRIFT_RECEIVER: Final = Pubkey("G6EoTTTgpkNBtVXo96EQp2m6uwwVh2Kt6YidjkmQqoha")
"""Drift's own deployment of the receiver: the one place where partially verified prices are in use."""

LAZER_PROGRAM: Final = Pubkey("pytd2yyk641x7ak7mkaasSJVXh6YYZnC7wTmtgAyxPt")

SYSTEM_PROGRAM: Final = Pubkey("11111111111111111111111111111111")
TOKEN_PROGRAM: Final = Pubkey("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM: Final = Pubkey("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
ASSOCIATED_TOKEN_PROGRAM: Final = Pubkey("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")


@lru_cache(maxsize=8192)
def push_feed(push_oracle: Pubkey, feed_id: FeedId, shard_id: int = SPONSORED_SHARD) -> tuple[Pubkey, int]:
    """(address, bump) of a feed's account under any deployment of the push oracle. Raises ``ValueError``.

    Remembered: a probe asks for the same thousands of addresses at every tick.
    """
    if not 0 <= shard_id < 2**16:
        raise ValueError(f"shard {shard_id}; there are 0 to {2**16 - 1}")
    return find_program_address((shard_id.to_bytes(2, "little"), bytes(feed_id)), push_oracle)


def receiver_config(receiver: Pubkey) -> Pubkey:
    """The configuration account of any deployment of the receiver."""
    return find_program_address((b"config",), receiver)[0]


def drift_feed(feed_id: FeedId) -> Pubkey:
    """The account that Drift keeps a feed's price in."""
    return find_program_address((b"pyth_pull", bytes(feed_id)), DRIFT_PROGRAM)[0]


def associated_token(wallet: Pubkey, mint: Pubkey, *, token_program: Pubkey = TOKEN_PROGRAM) -> Pubkey:
    """The account that holds ``mint`` tokens of ``wallet`` by convention."""
    return find_program_address((wallet, token_program, mint), ASSOCIATED_TOKEN_PROGRAM)[0]
