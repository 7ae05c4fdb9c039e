"""``probekit verify FILE``: who signed an update, and what it says."""

from __future__ import annotations

import binascii
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from probekit.codecs.hermes import decode_prices
from probekit.entry.command import Parser
from probekit.entry.streams import emit, say
from probekit.errors import ConfigError, DecodeError, ProbekitError
from probekit.model import PriceMessage, Status, TrustRoot
from probekit.model.price import Price
from probekit.runner.failures import status_of
from probekit.trust import BETA, MAINNET, PRO_STAGING, claim_of, verify
from probekit.units import Instant

_MAX_BYTES: Final = 16 * 1024 * 1024
_NETWORKS = {"mainnet": MAINNET, "staging": PRO_STAGING, "beta": BETA}


def read_updates(text: bytes) -> tuple[bytes, ...]:
    """Updates from hex, base64, raw bytes, or the JSON of a Hermes answer. Raises ``DecodeError``."""
    if text.startswith(b"PNAU"):
        return (text,)
    stripped = text.strip()
    if stripped.startswith(b"{"):
        return decode_prices(stripped).binary.decoded()
    try:
        return (binascii.unhexlify(stripped.removeprefix(b"0x")),)
    except binascii.Error:
        pass
    try:
        return (binascii.a2b_base64(stripped, strict_mode=True),)
    except binascii.Error:
        raise DecodeError("neither hex, base64, raw bytes nor a Hermes answer", raw=text) from None


def main(argv: Sequence[str]) -> int:
    """Verify every update of the input; the exit code is that of the worst. Raises ``ConfigError`` for what cannot be read."""
    parser = Parser(prog="probekit verify", description="Verify a signed price update and say who signed it.")
    parser.add_argument("file", help="hex, base64, raw bytes or the JSON of a Hermes answer; - reads standard input")
    parser.add_argument("--network", choices=sorted(_NETWORKS), default="mainnet", help="whose signers (default: %(default)s)")
    parser.add_argument("--root", choices=[str(root) for root in TrustRoot], help="accept this trust root alone")
    parser.add_argument("--at", metavar="TIME", help="as of this time (ISO 8601); 'signed': the update's own (default: now)")
    arguments = parser.parse_args(argv)
    trust = _NETWORKS[arguments.network]
    if arguments.root:
        trust = trust.only(TrustRoot(arguments.root))
    replay = arguments.at == "signed"
    try:
        moment = Instant.now() if arguments.at is None or replay else Instant.parse(arguments.at)
    except ValueError as error:
        raise ConfigError(f"--at: {error}") from None
    try:
        data = _read(arguments.file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{arguments.file}: {getattr(error, 'strerror', None) or error}") from None
    worst = Status.OK
    try:
        updates = read_updates(data)
    except ProbekitError as error:
        say(f"{error.message} (error.type={error.error_type})")
        return status_of(error).exit_code
    if not updates:
        # An answer without one proves nothing, and must not pass.
        say("there is no update in it (error.type=missing)")
        return Status.CRITICAL.exit_code
    for update in updates:
        try:
            at = claim_of(update, trust).time if replay else moment
            proven = verify(update, trust, at=at, accept_superseded=replay)
        except ProbekitError as error:
            say(f"{error.message} (error.type={error.error_type})")
            worst = max(worst, status_of(error), key=lambda status: status.severity)
            continue
        emit(
            f"signed by {len(proven.signers)} of {proven.root} set {proven.set_index} (quorum {proven.quorum}): "
            f"{', '.join(map(str, proven.signers))}; slot {proven.slot}, {proven.vaa_time}\n"
        )
        for message in proven.messages:
            if isinstance(message, PriceMessage):
                price, conf = Price(message.price, message.expo), Price(message.conf, message.expo)
                emit(f"  {message.feed_id} {price} +- {conf} at {Instant.from_seconds(message.publish_time)}\n")
    return worst.exit_code


def _read(where: str) -> bytes:
    if where == "-":
        if sys.stdin is None:
            raise ValueError("standard input is closed")
        data = sys.stdin.buffer.read(_MAX_BYTES + 1)
    else:
        with Path(where).open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"more than {_MAX_BYTES} bytes: no answer of Hermes")
    return data
