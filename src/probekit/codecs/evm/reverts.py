"""Why a contract reverted, from its revert data: Solidity's own two errors, those of Pyth, its Wormhole receiver and Entropy.

Custom errors are the 4-byte selector of their signature, here without arguments. Sources: Solidity documentation, "Error
handling"; pyth-crosschain ``target_chains/ethereum/sdk/solidity/PythErrors.sol``,
``target_chains/ethereum/contracts/contracts/wormhole-receiver/ReceiverMessages.sol`` and
``target_chains/ethereum/entropy_sdk/solidity/EntropyErrors.sol``.
"""

from __future__ import annotations

from typing import Final

from probekit.codecs.evm import abi
from probekit.codecs.evm.contract import SELECTOR_SIZE, selector
from probekit.errors import DecodeError, Reverted
from probekit.model.pyth_evm import EntropyError, PythError, PythRevert

CAUSES: Final = {
    PythError.PRICE_FEED_NOT_FOUND: "the feed was never pushed to this contract",
    PythError.STALE_PRICE: "the stored price is older than asked for, or from the future by as much",
    PythError.INSUFFICIENT_FEE: "less value than the fee, or more withdrawn than there is",
    PythError.NO_FRESH_UPDATE: "nothing to update; another pusher was first",
    PythError.INVALID_UPDATE_DATA: "no accumulator update, another version, a wrong Merkle proof, or a message of another type",
    PythError.INVALID_UPDATE_DATA_SOURCE: "rightly signed, but for an emitter of another network or root",
    PythError.INVALID_WORMHOLE_VAA: "signatures, quorum or guardian set; often an outdated set in the receiver",
    PythError.PRICE_FEED_NOT_FOUND_WITHIN_RANGE: "no price of the feed in the update within the time window",
    PythError.INVALID_ARGUMENT: "lists of different lengths, or an update with more than was asked for",
    PythError.INVALID_TWAP_UPDATE_DATA: "updates that no average can be taken of",
    PythError.INVALID_TWAP_UPDATE_DATA_SET: "start and end of an average that do not belong together",
    PythError.INVALID_GOVERNANCE_MESSAGE: "no governance message this implementation knows",
    PythError.INVALID_GOVERNANCE_TARGET: "a governance message for another chain or module",
    PythError.INVALID_GOVERNANCE_DATA_SOURCE: "an emitter that does not govern this contract",
    PythError.OLD_GOVERNANCE_MESSAGE: "a governance message that is not after the last executed one",
    PythError.INVALID_WORMHOLE_ADDRESS_TO_SET: "the proposed receiver has no code, or does not verify what proposes it",
    PythError.NEGATIVE_INPUT_PRICE: "a negative price to convert",
    PythError.INVALID_INPUT_EXPO: "an exponent that cannot be converted",
    PythError.COMBINED_PRICE_OVERFLOW: "a combined price beyond its type",
    PythError.EXPONENT_OVERFLOW: "an exponent beyond its type",
    PythError.VM_VERSION_INCOMPATIBLE: "a VAA of another version than 1",
    PythError.SIGNATURE_INDEXES_NOT_ASCENDING: "a VAA whose signatures are not in the order of their index",
}
"""Errors without arguments, by name, each with its usual cause."""

ENTROPY_CAUSES: Final = {
    EntropyError.ASSERTION_FAILURE: "an argument that the contract rules out",
    EntropyError.PROVIDER_ALREADY_REGISTERED: "the provider is registered already",
    EntropyError.NO_SUCH_PROVIDER: "the provider never registered here",
    EntropyError.NO_SUCH_REQUEST: "no such request is held: fulfilled already, or never made",
    EntropyError.OUT_OF_RANDOMNESS: "the provider's hash chain is used up; it must register a new one",
    EntropyError.INSUFFICIENT_FEE: CAUSES[PythError.INSUFFICIENT_FEE],
    EntropyError.INCORRECT_REVELATION: "a contribution that does not fit the request's commitment",
    EntropyError.INVALID_UPGRADE_MAGIC: "an implementation of another contract",
    EntropyError.UNAUTHORIZED: "a caller that may not do this",
    EntropyError.BLOCKHASH_UNAVAILABLE: "in the request's own block, or more than 256 blocks after it",
    EntropyError.INVALID_REVEAL_CALL: "the wrong way to reveal this request, or its callback is under way",
    EntropyError.LAST_REVEALED_TOO_OLD: "too many requests since the provider's last revelation; it must advance",
    EntropyError.UPDATE_TOO_OLD: "a commitment that is not after the current one",
    EntropyError.INSUFFICIENT_GAS: "the callback failed, and had less gas than the request promises it",
    EntropyError.MAX_GAS_LIMIT_EXCEEDED: "a callback's gas limit above 655,350,000",
    # Of contracts of 2024, whose EntropyUpgradable.sol has it; later ones leave it out.
    EntropyError.INVALID_TRANSFER_CALL: "ownership is not transferred at once here: transferTo, then acceptTransfer",
}
"""Entropy's errors, by name, each with its usual cause."""

PANICS: Final = {
    0x00: "generic panic of the compiler",
    0x01: "an assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "a number that is none of an enumeration",
    0x22: "a storage byte array with a wrong encoding",
    0x31: "pop from an empty array",
    0x32: "an index outside an array",
    0x41: "too much memory allocated",
    0x51: "call of an unset function pointer",
}
"""What the compiler's panic codes mean."""

ERROR_STRING: Final = selector("Error(string)")
PANIC: Final = selector("Panic(uint256)")
SELECTORS: Final = {selector(f"{error}()"): error for error in PythError}
ENTROPY_SELECTORS: Final = {selector(f"{error}()"): error for error in EntropyError}


def decode_revert(data: bytes) -> PythRevert:
    """What revert data says. Takes any bytes: what is not known or not well formed keeps them, and says so in ``cause``."""
    head, rest = data[:SELECTOR_SIZE], data[SELECTOR_SIZE:]
    if not data:
        return PythRevert("", b"", "reverted without a reason", data)
    if head == ERROR_STRING:
        return _with_message(head, rest, data)
    if head == PANIC:
        return _with_code(head, rest, data)
    error, entropy = SELECTORS.get(head), ENTROPY_SELECTORS.get(head)
    more = f" (with {len(rest)} bytes that the error does not have)" if rest else ""
    if error is not None:
        return PythRevert(str(error), head, CAUSES[error] + more, data, error=error, entropy_error=entropy)
    if entropy is not None:
        return PythRevert(str(entropy), head, ENTROPY_CAUSES[entropy] + more, data, entropy_error=entropy)
    return PythRevert("", head, "an error this release does not know", data)


def revert_of(error: BaseException) -> PythRevert | None:
    """What the contract said, of a ``Reverted``; ``None`` for every other error."""
    return decode_revert(error.revert_data) if isinstance(error, Reverted) else None


def reverted(where: str, data: bytes, *, code: int = 3, node_data: object = None) -> Reverted:
    """The error of a call that reverted with ``data``, in words. 3 is the code that nodes give for it."""
    told = f"{where}: {decode_revert(data)}"
    return Reverted(told, code=code, data=node_data, method="eth_call", revert_data=data)


def _with_message(head: bytes, rest: bytes, data: bytes) -> PythRevert:
    try:
        (raw,) = abi.decode("bytes", rest)
    except DecodeError as error:
        return PythRevert("Error", head, f"a message that does not decode: {error.message}", data)
    # Contracts cut or build such texts by bytes: half a letter at the end is not worth losing the rest for.
    message = raw.decode("utf-8", "replace")
    return PythRevert("Error", head, message, data, message=message)


def _with_code(head: bytes, rest: bytes, data: bytes) -> PythRevert:
    try:
        (code,) = abi.decode("uint256", rest)
    except DecodeError as error:
        return PythRevert("Panic", head, f"a code that does not decode: {error.message}", data)
    return PythRevert("Panic", head, PANICS.get(code, "a code of no known meaning") + f" (0x{code:02x})", data, panic_code=code)


def encode_revert(name: str, *, message: str = "", code: int = 0) -> bytes:
    """Revert data of an error by its name; ``message`` is for ``Error``, ``code`` for ``Panic``. Raises ``ValueError`` for a
    name that is not known.
    """
    if name == "Error":
        return ERROR_STRING + abi.encode("string", (message,))
    if name == "Panic":
        return PANIC + abi.encode("uint256", (code,))
    if name not in SELECTORS.values() and name not in ENTROPY_SELECTORS.values():
        raise ValueError(f"no error {name!r} is known")
    return selector(f"{name}()")
