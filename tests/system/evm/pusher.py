"""A pusher of ours: takes the sandbox network's prices to a MockPyth, as the account of its wallet."""

from __future__ import annotations

from collections.abc import Sequence

from probekit.clients.pyth_evm import PythEvmClient
from probekit.codecs.evm.contract import Function
from probekit.dev.network import SandboxNetwork
from probekit.model import FeedId
from probekit.model.evm import Address, Receipt
from tests.system.evm.chain import GWEI, POLL, Chain

CREATE = Function("createPriceFeedUpdateData(bytes32,int64,uint64,int32,int64,uint64,uint64,uint64)", "bytes")
GAS = 1_000_000


class Pusher:
    """Pushes from account ``by`` of the node. ``fee_wei`` in place of the one asked for makes its transactions revert."""

    def __init__(self, chain: Chain, client: PythEvmClient, network: SandboxNetwork, *, by: int = 1) -> None:
        self._chain, self._client, self._network, self._by = chain, client, network, by
        self.fee_wei: int | None = None

    @property
    def wallet(self) -> Address:
        return self._chain.node.accounts[self._by].address

    async def push(self, feeds: Sequence[str], *, ago_s: int = 0, parts: int = 10_000) -> Receipt:
        """Push the source's present prices, as published ``ago_s`` ago, times ``parts`` of ten thousand; the landed receipt."""
        network, client = self._network, self._client
        now_ns = network.published_ns(network.clock.now())
        updates = []
        for feed in feeds:
            said = network.message(network.market(feed), now_ns)
            price, published_s = said.price * parts // 10_000, said.publish_time - ago_s
            call = CREATE.one(bytes(FeedId(feed)), price, said.conf, said.expo, price, said.conf, published_s, published_s - 1)
            updates.append(await client.evm.read(client.address, call))
        prepared = await client.build_update(updates, fee_wei=self.fee_wei)
        nonce = await client.evm.nonce(self.wallet)
        raw = self._chain.signed(nonce, by=self._by, **prepared.transaction(), gas=GAS)
        sent = await client.evm.send(raw, cap_wei=GAS * 10 * GWEI + prepared.value_wei)
        return (await client.evm.wait(sent, poll=POLL)).receipt
