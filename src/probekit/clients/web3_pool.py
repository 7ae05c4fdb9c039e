"""AsyncWeb3 over an endpoint pool: contracts and ABIs as web3's users know them, on our wire. Needs the extra ``evm``.

web3's own providers retry sends and ask for the chain id around each call; none of that happens here. What is left of its
middleware changes values, not requests.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from probekit.clients.evm_landing import refuse_other
from probekit.codecs import evm_rpc as codec
from probekit.errors import ProbekitError, RpcError, SendRefused
from probekit.errors.extras import missing_extra
from probekit.transports.rpc import Call, EndpointPool, Outcome

# py_ecc, which web3 imports, raises the interpreter's recursion limit a hundredfold for all: with that, JSON nested deep enough
# overflows the C stack of whichever decoder reads it, and an answer of brackets alone ends the process.
_limit = sys.getrecursionlimit()
try:
    from web3 import AsyncWeb3
    from web3.middleware import AttributeDictMiddleware, BufferedGasEstimateMiddleware, GasPriceStrategyMiddleware
    from web3.providers.async_base import AsyncJSONBaseProvider
    from web3.types import RPCEndpoint, RPCResponse
except ModuleNotFoundError as error:  # pragma: no cover - the extras' own test installs without it
    raise missing_extra("AsyncWeb3 needs web3", "evm") from error
finally:
    sys.setrecursionlimit(_limit)

_SEND_RAW: Final = "eth_sendRawTransaction"
_SEND: Final = "eth_sendTransaction"
_SPENDS: Final = re.compile(r"(?i)send|submit")
_OF_ONE_NODE: Final = frozenset(
    (
        "eth_newFilter",
        "eth_newBlockFilter",
        "eth_newPendingTransactionFilter",
        "eth_getFilterChanges",
        "eth_getFilterLogs",
        "eth_uninstallFilter",
        "eth_subscribe",
        "eth_unsubscribe",
    )
)
"""Methods whose meaning lives on the node that was asked first: a pool cannot carry them."""


class PoolProvider(AsyncJSONBaseProvider):
    """A web3 provider whose every request goes through ``pool``, which stays the caller's to close.

    A JSON-RPC error becomes web3's own exception (``ContractLogicError``, ``Web3RPCError``, ...); everything else that a pool
    raises (:class:`~probekit.errors.TransportError`, ``WrongChain``, ...) passes through as it is. Off-chain look-ups by
    contracts (EIP-3668) are off: they would leave the pool.

    Sends go out once, and as :meth:`~probekit.clients.evm.EvmClient.send` has them: of this chain alone, and taking ``cap_wei``
    at most, else ``SendRefused``. Without ``cap_wei`` nothing is sent. A transaction that the node is to sign has to state its
    gas and its fee.
    """

    global_ccip_read_enabled = False

    def __init__(self, pool: EndpointPool, *, cap_wei: int | None = None) -> None:
        super().__init__()
        self.pool = pool
        self.cap_wei = cap_wei

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One request. Raises ``ValueError`` for filters and subscriptions."""
        call = _call(method, params)
        if self.pool.family.has_effect(call.method):
            self._refuse(call)
            try:
                return _response(await self.pool.send(call.method, cast("list[Any]", call.params)))
            except RpcError as error:
                return _response(error)
        (outcome,) = await self.pool.batch([call])
        return _response(outcome)

    def _refuse(self, call: Call) -> None:
        """Return where a call with an effect may be made. Raises ``SendRefused``, ``DecodeError``."""
        if _SPENDS.search(call.method) is None:
            return  # It changes the node (anvil_mine): nobody's money.
        if call.method not in (_SEND_RAW, _SEND):
            raise SendRefused(f"what {call.method} takes cannot be told; nothing was sent")
        if self.cap_wei is None:
            raise SendRefused("w3 has no cap, so that nothing is sent through it: EvmClient(..., w3_cap_wei=...) has one")
        sent = call.params[0] if isinstance(call.params, list) and call.params else None
        if call.method == _SEND_RAW:
            raw = codec.data(sent, "a signed transaction")
            refuse_other(raw, chain_id=int(self.pool.identity or -1), chain=self.pool.chain, cap_wei=self.cap_wei)
            return
        most = _most(sent)
        if most is None:
            raise SendRefused("the node would sign it, and it states no gas, or no fee: what it takes cannot be told")
        if most > self.cap_wei:
            raise SendRefused(f"it may take {most} wei, the cap is {self.cap_wei}")

    async def make_batch_request(self, requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse]:
        """Several in as few HTTP requests as the limits allow; a send is refused with ``ValueError``."""
        return [_response(outcome) for outcome in await self.pool.batch([_call(method, params) for method, params in requests])]

    async def is_connected(self, show_traceback: bool = False) -> bool:
        """Whether an endpoint of the right chain answers."""
        try:
            await self.pool.call("eth_chainId")
        except ProbekitError:
            if show_traceback:
                raise
            return False
        return True


def web3_over(pool: EndpointPool, *, cap_wei: int | None = None) -> AsyncWeb3[PoolProvider]:
    """An AsyncWeb3 on ``pool``, without web3's validation and name look-up middleware: each sends requests of its own. It sends
    nothing without a cap.
    """
    middleware = [
        (GasPriceStrategyMiddleware, "gas_price_strategy"),
        (AttributeDictMiddleware, "attrdict"),
        (BufferedGasEstimateMiddleware, "gas_estimate"),
    ]
    return AsyncWeb3(PoolProvider(pool, cap_wei=cap_wei), middleware=cast("Any", middleware))


def _most(transaction: Any) -> int | None:
    """Wei that a transaction as JSON may take; ``None`` where it does not say."""
    if not isinstance(transaction, dict):
        return None
    fee = transaction.get("maxFeePerGas", transaction.get("gasPrice"))
    gas, value = transaction.get("gas"), transaction.get("value", "0x0")
    if fee is None or gas is None:
        return None
    return _quantity(gas) * _quantity(fee) + _quantity(value)


def _quantity(value: Any) -> int:
    """web3 hands over hex, or the caller's own integer."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else codec.quantity(value)


def _call(method: str, params: Any) -> Call:
    if method in _OF_ONE_NODE:
        raise ValueError(f"{method} lives on one node, and a pool asks several: read logs by their block range instead")
    return Call(str(method), _plain(params) if params is not None else [])


def _plain(value: Any) -> Any:
    """What web3 hands over, as plain JSON values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, bytes | bytearray):
        return "0x" + value.hex()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _response(outcome: Outcome) -> RPCResponse:
    """An outcome in the shape that web3 reads. Raises what is not about the request."""
    if isinstance(outcome, RpcError):
        # web3 tells errors apart by the node's own words, which end ours.
        message = outcome.message.removeprefix(f"{outcome.method}: ").rpartition(" (code ")[0]
        error = {"code": outcome.code, "message": message}
        if outcome.data is not None:
            error["data"] = cast("Any", outcome.data)
        return cast("RPCResponse", {"jsonrpc": "2.0", "id": 0, "error": error})
    if isinstance(outcome, ProbekitError):
        raise outcome
    return cast("RPCResponse", {"jsonrpc": "2.0", "id": 0, "result": msgspec.json.decode(outcome)})
