"""Fortuna: the service that holds a provider's hash chain, reveals random numbers and keeps a log of every request.

Its ``/live`` and ``/ready`` answer 200 whatever happens, and so are not offered here: a revelation of a pending request, and
the log, are what tells of its health. Source: pyth-crosschain ``apps/fortuna/src/api.rs``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal
from urllib.parse import quote, urlencode

from probekit.clients.over_http import OverHttp
from probekit.clock import SYSTEM_CLOCK, Clock
from probekit.codecs import fortuna as codec
from probekit.errors import DecodeError, NotEntitled, NotFound, StatusError, Unauthorized
from probekit.model.fortuna import FortunaChain, FortunaLogs, FortunaRequest, Revelation
from probekit.transports.base import Engine, Limits, Observer, Request
from probekit.transports.retry import RetryPolicy
from probekit.transports.stack import build
from probekit.units import Instant

__all__ = ["FORTUNA_MAINNET", "FORTUNA_TESTNET", "FortunaClient"]

FORTUNA_MAINNET: Final = "https://fortuna.dourolabs.app"
FORTUNA_TESTNET: Final = "https://fortuna-staging.dourolabs.app"
MOST_LOGS: Final = 1_000
"""Rows that the service gives at once."""

LogState = Literal["Pending", "Failed", "Completed", "CallbackErrored"]


class FortunaClient(OverHttp):
    """A client of one service. ``timeout`` bounds each call with its retries; ``transport`` is an engine of the caller's, not
    closed here.

    Raises :class:`~probekit.errors.TransportError` leaves and ``DecodeError``. A 503 is a chain that the service cannot reach,
    or has not reached yet.
    """

    def __init__(
        self,
        endpoint: str = FORTUNA_MAINNET,
        *,
        transport: Engine | None = None,
        timeout: timedelta = timedelta(seconds=10),
        retry: RetryPolicy | None = None,
        observer: Observer | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limits: Limits | None = None,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        super().__init__(transport=transport, timeout=timeout, clock=clock, limits=limits)
        self._transport = build(
            self._engine, clock=clock, observer=observer, retry=retry or RetryPolicy(), endpoints=(self.endpoint,)
        )

    async def chains(self) -> tuple[str, ...]:
        """Names of the chains that the service works on."""
        return codec.decode_chains(await self._get("/v1/chains"))

    async def configs(self) -> tuple[FortunaChain | DecodeError, ...]:
        """The chains with contract, delay, gas limit and fee; one that does not read is its own error."""
        return codec.decode_configs(await self._get("/v1/chains/configs"))

    async def revelation(self, chain: str, sequence: int, *, block_number: int | None = None) -> Revelation:
        """The provider's contribution to a request, or why the service does not give it: a value, not an error.

        With ``block_number``, the request's block, it is given also after it was revealed on chain. Raises ``NotFound`` for a
        chain or a number that is none of the service's, ``Unauthorized`` for a refusal that is not the service's own.
        """
        query = "?encoding=hex" + ("" if block_number is None else f"&block_number={block_number}")
        try:
            body = await self._get(f"/v1/chains/{quote(chain, safe='')}/revelations/{sequence}{query}")
        except NotEntitled as error:
            refusal = codec.refusal_of(error.body)
            if refusal is None:
                raise Unauthorized(error.message, status=error.status, body=error.body, url=error.url) from None
            return Revelation(chain, sequence, refusal=refusal, text=error.body)
        except StatusError as error:
            if error.status == 400 and codec.UNKNOWN_CHAIN in error.body:
                raise NotFound(f"{self.endpoint} knows no chain {chain}", subject=chain) from None
            if error.status == 400 and codec.BAD_SEQUENCE in error.body:
                raise NotFound(f"{self.endpoint} has no number {sequence} of {chain}", subject=str(sequence)) from None
            raise
        return Revelation(chain, sequence, codec.decode_revelation(body))

    async def logs(
        self,
        query: str | None = None,
        *,
        network_id: int | None = None,
        state: LogState | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        limit: int = MOST_LOGS,
        offset: int = 0,
    ) -> FortunaLogs:
        """Requests that the service saw, the newest first; what does not read is in ``errors``. ``query`` is a transaction's
        hash, a sender's address or a sequence number. ``CallbackErrored`` are the completed ones whose callback failed.

        Raises ``NotFound`` for a chain that the service does not work on, ``ValueError`` for more rows than it gives at once.
        """
        if not 0 < limit <= MOST_LOGS:
            raise ValueError(f"{limit} rows; the service gives 1 to {MOST_LOGS}")
        asked = {
            "query": query,
            "network_id": network_id,
            "state": state,
            "min_timestamp": since,
            "max_timestamp": until,
            "limit": limit,
            "offset": offset,
        }
        parameters = urlencode({name: str(value) for name, value in asked.items() if value is not None})
        try:
            rows, total = codec.decode_logs(await self._get(f"/v1/logs?{parameters}"))
        except StatusError as error:
            if error.status == 400 and codec.UNKNOWN_CHAIN in error.body:
                raise NotFound(f"{self.endpoint} knows no chain {network_id}", subject=str(network_id)) from None
            raise
        return FortunaLogs(_kept(rows), total, tuple(row for row in rows if isinstance(row, DecodeError)))

    async def _get(self, path: str) -> bytes:
        deadline_ns = self._due_ns()
        headers = (("accept", "application/json"),)
        request = Request("GET", self.endpoint + path, headers=headers, deadline_ns=deadline_ns, limits=self._limits)
        return (await self._transport.send(request)).body


def _kept(rows: Sequence[FortunaRequest | DecodeError]) -> tuple[FortunaRequest, ...]:
    return tuple(row for row in rows if not isinstance(row, DecodeError))
