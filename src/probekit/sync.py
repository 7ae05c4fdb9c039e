"""Blocking clients for scripts and notebooks: the read methods of their asynchronous namesakes, also under a running loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Any, Self, TypeVar

from probekit.clients.batch import Batch
from probekit.clients.hermes import HermesClient as AsyncHermesClient
from probekit.clients.hermes import Readiness
from probekit.clock import reap
from probekit.codecs.hermes import Encoding
from probekit.model import Feed, PriceUpdate, StakeCap
from probekit.secret import Secret
from probekit.transports.base import Engine, Limits
from probekit.transports.retry import RetryPolicy
from probekit.trust import HERMES_MAINNET, Trust
from probekit.units import Instant

__all__ = ["HermesClient"]

T = TypeVar("T")


class _Loop:
    """An event loop in a thread of its own, started when first needed."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def running(self) -> bool:
        return self._loop is not None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``; an interrupt cancels it."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="probekit sync", daemon=True)
                self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel what still runs for other threads, stop the loop and its thread; idempotent."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(_tidy(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _tidy() -> None:
    await reap(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))
    await asyncio.get_running_loop().shutdown_asyncgens()


class HermesClient:
    """:class:`probekit.HermesClient`, blocking: the same arguments, values and errors. Use it as a context manager."""

    def __init__(
        self,
        endpoints: str | Sequence[str] = HERMES_MAINNET,
        *,
        api_key: Secret | None = None,
        transport: Engine | None = None,
        verify: Trust | None = None,
        timeout: timedelta = timedelta(seconds=10),
        retry: RetryPolicy | None = None,
        encoding: Encoding = "hex",
        limits: Limits | None = None,
    ) -> None:
        self._client = AsyncHermesClient(
            endpoints,
            api_key=api_key,
            transport=transport,
            verify=verify,
            timeout=timeout,
            retry=retry,
            encoding=encoding,
            limits=limits,
        )
        self._loop = _Loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and the background loop; idempotent. A call that another thread waits for ends in an error."""
        if self._loop.running:
            self._loop.run(self._client.aclose())
        self._loop.close()

    def latest(self, ids: Iterable[str]) -> Batch:
        """See :meth:`probekit.HermesClient.latest`."""
        return self._loop.run(self._client.latest(ids))

    def at(self, publish_time: Instant, ids: Iterable[str]) -> Batch:
        """See :meth:`probekit.HermesClient.at`."""
        return self._loop.run(self._client.at(publish_time, ids))

    def price(self, symbol: str) -> PriceUpdate:
        """See :meth:`probekit.HermesClient.price`."""
        return self._loop.run(self._client.price(symbol))

    def stake_caps(self) -> tuple[StakeCap, ...]:
        """See :meth:`probekit.HermesClient.stake_caps`."""
        return self._loop.run(self._client.stake_caps())

    def feeds(self, query: str | None = None, asset_type: str | None = None) -> tuple[Feed, ...]:
        """See :meth:`probekit.HermesClient.feeds`."""
        return self._loop.run(self._client.feeds(query, asset_type))

    def symbols(self) -> dict[str, Feed]:
        """See :meth:`probekit.HermesClient.symbols`."""
        return self._loop.run(self._client.symbols())

    def live(self) -> bool:
        """See :meth:`probekit.HermesClient.live`."""
        return self._loop.run(self._client.live())

    def ready(self) -> Readiness:
        """See :meth:`probekit.HermesClient.ready`."""
        return self._loop.run(self._client.ready())
