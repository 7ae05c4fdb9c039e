"""Why a contract reverted, from its revert data: Solidity's own two errors, those of Pyth and of its Wormhole receiver.

Custom errors are the 4-byte selector of their signature, here without arguments. Sources: Solidity documentation, "Error
handling"; pyth-crosschain ``target_chains/ethereum/sdk/solidity/PythErrors.sol`` and
``target_chains/ethereum/contracts/contracts/wormhole-receiver/ReceiverMessages.sol``.
"""

from __future__ import annotations

from typing import Final

from probekit.codecs.evm import abi
from probekit.codecs.evm.contract import SELECTOR_SIZE, selector
from probekit.errors import DecodeError
from probekit.model.pyth_evm import PythRevert

CAUSES: Final = {
    "PriceFeedNotFound": "the feed was never pushed to this contract",
    "StalePrice": "the stored price is older than asked for, or from the future by as much",
    "InsufficientFee": "less value than the fee, or more withdrawn than there is",
    "NoFreshUpdate": "nothing to update; another pusher was first",
    "InvalidUpdateData": "no accumulator update, another version, a wrong Merkle proof, or a message of another type",
    "InvalidUpdateDataSource": "rightly signed, but by an emitter this contract does not take: another network or another root",
    "InvalidWormholeVaa": "signatures, quorum or guardian set; often an outdated set in the receiver",
    "PriceFeedNotFoundWithinRange": "no price of the feed in the update within the time window",
    "InvalidArgument": "lists of different lengths, or an update with more than was asked for",
    "InvalidTwapUpdateData": "updates that no average can be taken of",
    "InvalidTwapUpdateDataSet": "start and end of an average that do not belong together",
    "InvalidGovernanceMessage": "no governance message this implementation knows",
    "InvalidGovernanceTarget": "a governance message for another chain or module",
    "InvalidGovernanceDataSource": "an emitter that does not govern this contract",
    "OldGovernanceMessage": "a governance message that is not after the last executed one",
    "InvalidWormholeAddressToSet": "the proposed receiver does not verify the message that proposes it",
    "NegativeInputPrice": "a negative price to convert",
    "InvalidInputExpo": "an exponent that cannot be converted",
    "CombinedPriceOverflow": "a combined price beyond its type",
    "ExponentOverflow": "an exponent beyond its type",
    "VmVersionIncompatible": "a VAA of another version than 1",
    "SignatureIndexesNotAscending": "a VAA whose signatures are not in the order of their index",
}
"""Errors without arguments, by name, each with its usual cause."""

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
SELECTORS: Final = {selector(f"{name}()"): name for name in CAUSES}


def decode_revert(data: bytes) -> PythRevert:
    """What revert data says. Takes any bytes: what is not known or not well formed keeps them, and says so in ``cause``."""
    head, rest = data[:SELECTOR_SIZE], data[SELECTOR_SIZE:]
    if not data:
        return PythRevert("", b"", "reverted without a reason", data)
    if head == ERROR_STRING:
        return _with_message(head, rest, data)
    if head == PANIC:
        return _with_code(head, rest, data)
    name = SELECTORS.get(head)
    if name is None:
        return PythRevert("", head, "an error this release does not know", data)
    if rest:
        return PythRevert(name, head, f"{CAUSES[name]} (with {len(rest)} bytes that the error does not have)", data)
    return PythRevert(name, head, CAUSES[name], data)


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
    if name not in CAUSES:
        raise ValueError(f"no error {name!r} is known")
    return selector(f"{name}()")
