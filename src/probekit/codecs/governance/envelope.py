"""A governance VAA: who says it, and what it says."""

from __future__ import annotations

from typing import Final

import msgspec

from probekit.codecs import vaa as vaa_codec
from probekit.codecs.governance import core, message
from probekit.codecs.vaa import Vaa
from probekit.errors import DecodeError
from probekit.model.governance import GovernanceMessage
from probekit.model.pyth_evm import DataSource
from probekit.model.wormhole import GuardianSetUpgrade

EMITTERS: Final = {
    DataSource(1, bytes.fromhex("5635979a221c34931e32620b9293a463065555ea71fe97cd6237ade875b12e9e")): "Pyth governance",
    DataSource(1, bytes.fromhex("63278d271099bfd491951b3e648f08b1c71631e4a53674ad43e8f9f98068c385")): "Pyth governance (beta)",
    DataSource(1, bytes(31) + b"\x04"): "Wormhole governance",
}
"""Who governs, as far as it is known; what a contract obeys is its own ``governanceDataSource()``."""


class GovernanceVaa(msgspec.Struct, frozen=True):
    """A VAA and its content, or why that does not read. Nothing is proven by decoding it."""

    vaa: Vaa
    content: GovernanceMessage | GuardianSetUpgrade | DecodeError

    @property
    def source(self) -> DataSource:
        """Who emitted it."""
        return DataSource(self.vaa.emitter_chain, self.vaa.emitter_address)


def decode_vaa(data: bytes | Vaa) -> GovernanceVaa:
    """Decode a whole VAA. Raises ``DecodeError`` for what is none; a payload that does not read is the content's own error."""
    vaa = data if isinstance(data, Vaa) else vaa_codec.decode(data)
    try:
        return GovernanceVaa(vaa, decode_payload(vaa.payload))
    except DecodeError as error:
        return GovernanceVaa(vaa, error)


def decode_payload(payload: bytes) -> GovernanceMessage | GuardianSetUpgrade:
    """Pyth's governance or, by its module, Wormhole's. Raises ``DecodeError``."""
    return core.decode_set_upgrade(payload) if payload[:32] == core.MODULE else message.decode(payload)
