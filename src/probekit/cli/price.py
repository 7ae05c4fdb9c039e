"""``probekit price SYMBOL``: a feed's newest price, verified."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from probekit.clients.hermes import HermesClient
from probekit.entry.command import Parser, filled
from probekit.entry.streams import emit, say
from probekit.errors import ConfigError, ProbekitError
from probekit.runner.failures import status_of
from probekit.secret import Secret, redact_url
from probekit.trust import HERMES_MAINNET, MAINNET
from probekit.units import Instant, format_ns


def main(argv: Sequence[str]) -> int:
    """Fetch, verify against the main network's signers and print. Raises ``ConfigError`` for an argument that is none."""
    parser = Parser(
        prog="probekit price", description="Print a feed's newest price, by symbol, once its signatures are verified."
    )
    parser.add_argument("symbol", type=filled, help="as Crypto.BTC/USD")
    parser.add_argument("--endpoint", default=HERMES_MAINNET[0], help="base URL of Hermes (default: %(default)s)")
    parser.add_argument("--api-key", metavar="REF", help="env:NAME, file:/path or credential:name")
    parser.add_argument("--unverified", action="store_true", help="print what was served, without checking who signed it")
    arguments = parser.parse_args(argv)
    if not arguments.endpoint.lower().startswith(("http://", "https://")):
        raise ConfigError(f"--endpoint: {redact_url(arguments.endpoint)!r} is not an http or https URL")
    try:
        key = None if arguments.api_key is None else Secret.parse(arguments.api_key)
    except (ValueError, LookupError, OSError) as error:
        raise ConfigError(f"--api-key: {error}") from None
    return asyncio.run(_show(arguments.endpoint, key, arguments.symbol, verified=not arguments.unverified))


async def _show(endpoint: str, key: Secret | None, symbol: str, *, verified: bool) -> int:
    try:
        async with HermesClient(endpoint, api_key=key) as hermes:
            update = await hermes.price(symbol)
        now = Instant.now()
        if verified:
            update = update.verified(MAINNET, at=now)
    except ProbekitError as error:
        say(f"{error.message} (error.type={error.error_type})")
        return status_of(error).exit_code
    proof = update.verified_by
    signed = "not verified" if proof is None else f"{len(proof.signers)} signatures of {proof.root} set {proof.set_index}"
    age = format_ns(now.since(update.publish_time))
    emit(
        f"{symbol} {update.price} +- {update.conf}, published {update.publish_time} ({age} ago), slot {update.slot}, {signed}\n"
    )
    return 0
