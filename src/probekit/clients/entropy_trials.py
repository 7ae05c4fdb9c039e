"""Why an Entropy request waits or its callback fails, found by trying it with ``eth_call``. Nothing is sent.

Source: pyth-crosschain ``target_chains/ethereum/contracts/contracts/entropy``.
"""

from __future__ import annotations

import re
from typing import Final

from probekit.clients.evm import BlockTag, EvmClient
from probekit.codecs.evm import entropy as codec
from probekit.codecs.evm.contract import PreparedCall
from probekit.codecs.evm.reverts import decode_revert
from probekit.errors import NotFound, Reverted
from probekit.model.entropy import CauseKind, Contributions, EntropyCause, EntropyRequest
from probekit.model.evm import Address
from probekit.model.pyth_evm import EntropyError

__all__ = ["tried_callback", "tried_reveal"]

_OUT_OF_GAS: Final = re.compile(r"(?i)out.?of.?gas|oog\b")
"""What nodes say of a call that used up its gas: geth and others "out of gas", those on revm "OutOfGas", "MemoryOOG"."""


async def tried_reveal(
    evm: EvmClient,
    prepared: PreparedCall[None],
    request: EntropyRequest,
    contributions: Contributions,
    *,
    gas: int | None,
    at: BlockTag,
) -> EntropyCause:
    """What the prepared ``revealWithCallback`` of a request would do at a block; ``NOT_SENT`` where it would be taken."""
    limit = request.gas_limit
    if request.num_hashes <= codec.MOST_HASHES and not codec.revelation_fits(
        request, contributions.user, contributions.provider
    ):
        return EntropyCause(CauseKind.WRONG_REVELATION, "the contributions do not fit the commitment", gas_limit=limit)
    try:
        await evm.call(prepared.to, prepared.call.data, at, gas=gas)
    except Reverted as error:
        revert = decode_revert(error.revert_data)
        if not error.revert_data and _OUT_OF_GAS.search(error.message):
            return EntropyCause(CauseKind.INSUFFICIENT_GAS, "the reveal itself runs out of gas", gas_limit=limit)
        if revert.entropy_error is EntropyError.INSUFFICIENT_GAS:
            return EntropyCause(CauseKind.INSUFFICIENT_GAS, str(revert), revert, gas_limit=limit)
        if revert.entropy_error is EntropyError.INCORRECT_REVELATION:
            return EntropyCause(CauseKind.WRONG_REVELATION, str(revert), revert, gas_limit=limit)
        if revert.entropy_error is not None or limit:
            return EntropyCause(CauseKind.REFUSED, f"the reveal reverts: {revert}", revert, gas_limit=limit)
        # Without the flow for failed callbacks, what the callback reverts with is what the reveal reverts with.
        return codec.callback_cause(error.revert_data)
    return EntropyCause(CauseKind.NOT_SENT, "the reveal would be taken now; nobody has sent it", gas_limit=limit)


async def tried_callback(
    evm: EvmClient, entropy: Address, request: EntropyRequest, contributions: Contributions, *, at: BlockTag
) -> EntropyCause:
    """What the requester's callback would do at a block, called as the contract at ``entropy`` calls it."""
    number = codec.random_number(contributions.user, contributions.provider)
    call = codec.entropy_callback(request.sequence, request.provider, number)
    limit = request.gas_limit
    gas = codec.call_gas(call.data, limit) if limit else None
    try:
        await evm.call(request.requester, call.data, at, sender=entropy, gas=gas)
    except NotFound:
        # An account without code: the contract's call of it succeeds.
        pass
    except Reverted as error:
        if not error.revert_data and _OUT_OF_GAS.search(error.message):
            return EntropyCause(CauseKind.OUT_OF_GAS, f"the callback runs out of {limit} gas", gas_limit=limit)
        return codec.callback_cause(error.revert_data, gas_limit=limit)
    return EntropyCause(CauseKind.CALLBACK_RECOVERED, "the callback would succeed now", gas_limit=limit)
