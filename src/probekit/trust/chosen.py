"""Whom an operator trusts: a network's own signers by its name, or sets that are written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from probekit.model import TrustRoot
from probekit.trust.registry import BETA, EMITTERS, MAINNET, PRO_STAGING
from probekit.trust.sets import SignerSet, Trust

Network = Literal["mainnet", "staging", "beta"]

NETWORKS: Final[Mapping[Network, Trust]] = {"mainnet": MAINNET, "staging": PRO_STAGING, "beta": BETA}
"""The signers of each network. Options name one: ``network: pk.trust.Network``."""


class SignerSetOption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trusted set of one's own, as an operator writes it: nothing of it is checked before :func:`chosen`, so that what is
    wrong with it is told together with what is wrong elsewhere.
    """

    root: Literal["core", "pro"]
    index: int
    signers: tuple[str, ...]

    def signer_set(self) -> SignerSet:
        """The set itself. Raises ``ValueError`` where it cannot be one."""
        return SignerSet.of(TrustRoot(self.root), self.index, *self.signers)


def chosen(network: Network, signer_sets: Sequence[SignerSetOption] = ()) -> Trust:
    """The trust that options ask for: ``signer_sets`` in place of the network's own, where there are any.

    Raises ``ValueError`` for a set that cannot be one, and for two of one root and index.
    """
    if not signer_sets:
        return NETWORKS[network]
    try:
        return Trust(tuple(one.signer_set() for one in signer_sets), EMITTERS)
    except ValueError as error:
        raise ValueError(f"signer_sets: {error}") from None
