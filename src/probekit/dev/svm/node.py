"""One node over a ledger: what it serves at each commitment level, and how well it is."""

from __future__ import annotations

from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from probekit.dev.svm.chain import Block, Commitment
from probekit.dev.svm.faults import Faults
from probekit.dev.svm.ledger import Ledger
from probekit.dev.svm.params import Config
from probekit.dev.svm.words import min_context_slot_not_reached, unhealthy


class Node:
    """Several nodes may stand over one ledger, each with :attr:`faults` of its own."""

    def __init__(self, ledger: Ledger, *, identity: Pubkey | None = None) -> None:
        self.ledger = ledger
        self.faults = Faults()
        self.identity = identity or Keypair().pubkey()

    def block(self, commitment: Commitment) -> Block:
        """The block that this node serves at a commitment level."""
        return self.ledger.block_at(commitment, behind=self.faults.behind)

    def view(self, config: Config) -> Block:
        """The block that a call's configuration asks for. Refused when ``minContextSlot`` is not reached."""
        block = self.block(config.commitment())
        wanted = config.number("minContextSlot")
        if wanted is not None and block.slot < wanted:
            raise min_context_slot_not_reached(block.slot)
        return block

    def account(self, key: Pubkey, block: Block) -> Account | None:
        """An account as of a block."""
        return self.ledger.account(key, block.slot)

    def check_health(self) -> None:
        """Refused while the node is switched to be behind or unhealthy."""
        if self.faults.unhealthy:
            raise unhealthy(None)
        if self.faults.behind:
            raise unhealthy(self.faults.behind)
