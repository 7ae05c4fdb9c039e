"""A chain as another endpoint would see it: some blocks ago, or on another branch. JSON values in, JSON values out."""

from __future__ import annotations

import hashlib
from typing import Any, Final

_NEWEST: Final = ("latest", "pending")
_WITHOUT_TAG: Final = {
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_getStorageAt": 2,
    "eth_getTransactionCount": 1,
}
"""Where the block stands in the parameters of methods that have a default for it."""
UNKNOWN_BLOCK: Final = {"code": -32000, "message": "header not found"}
UNKNOWN: Final[dict[str, dict[str, Any]]] = {
    "eth_getBlockByNumber": {"result": None},
    "eth_getBlockReceipts": {"result": None},
    "eth_getLogs": {"result": []},
}
"""What methods answer for a block that is not known yet; the others with the error."""


def number(value: Any) -> int | None:
    """A hex quantity; ``None`` for anything else."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return int(value, 16)
        except ValueError:
            return None
    return None


# -- some blocks ago -------------------------------------------------------------------------------------------------------


def params_at(method: str, params: Any, head: int) -> Any:
    """The parameters with the newest block being ``head``; ``None`` where they name a block that is not known yet."""
    if not isinstance(params, list):
        return params
    params = list(params)
    place = _WITHOUT_TAG.get(method)
    if place is not None and len(params) == place:
        params.append("latest")
    if method == "eth_getLogs" and params and isinstance(params[0], dict):
        asked = {"fromBlock": "latest", "toBlock": "latest"} | params[0]
        for key in ("fromBlock", "toBlock"):
            asked[key] = hex(head) if asked[key] in _NEWEST else asked[key]
        if (first := number(asked["fromBlock"])) is not None and first > head:
            return None
        if (last := number(asked["toBlock"])) is not None and last > head:
            asked["toBlock"] = hex(head)
        return [asked, *params[1:]]
    for index in _blocks_of(method, params):
        if params[index] in _NEWEST:
            params[index] = hex(head)
        elif (wanted := number(params[index])) is not None and wanted > head:
            return None
    return params


def _blocks_of(method: str, params: list[Any]) -> list[int]:
    if method in _WITHOUT_TAG:
        place = _WITHOUT_TAG[method]
        return [place] if place < len(params) else []
    if method in ("eth_getBlockByNumber", "eth_getBlockReceipts"):
        return [0]
    return [1] if method == "eth_feeHistory" and len(params) > 1 else []


def result_at(method: str, result: Any, head: int) -> Any:
    """The result with the newest block being ``head``."""
    if method == "eth_blockNumber":
        return hex(head)
    if isinstance(result, dict):
        stands = number(result.get("blockNumber") if "blockHash" in result else result.get("number"))
        if stands is not None and stands > head:
            return None
    return result


# -- on another branch -----------------------------------------------------------------------------------------------------


class Branch:
    """Blocks above ``root`` have other hashes, each on the one before it. The same block has the same other hash each time."""

    def __init__(self, root: int, *, gone: bool) -> None:
        self.root = root
        self._gone = gone
        self._real: dict[str, str] = {}

    def hash(self, real: str) -> str:
        """The other hash of a block."""
        other = "0x" + hashlib.sha256(f"{self.root} {real}".encode()).hexdigest()
        self._real[other] = real
        return other

    def params(self, params: Any) -> Any:
        """The parameters with hashes that the node knows."""
        if isinstance(params, list):
            return [self.params(item) for item in params]
        if isinstance(params, dict):
            return {key: self.params(item) for key, item in params.items()}
        return self._real.get(params, params) if isinstance(params, str) else params

    def result(self, result: Any) -> Any:
        """The result as seen from here."""
        if isinstance(result, list):
            seen = [self.result(item) for item in result]
            return [item for item in seen if item is not None] if self._gone else seen
        if not isinstance(result, dict):
            return result
        if (stands := number(result.get("blockNumber"))) is not None and isinstance(result.get("blockHash"), str):
            if stands <= self.root:
                return result
            if self._gone:
                return None
            return result | {"blockHash": self.hash(result["blockHash"])} | self._inner(result)
        stands = number(result.get("number"))
        if stands is not None and stands > self.root and isinstance(result.get("hash"), str):
            parent = result.get("parentHash")
            moved = self.hash(parent) if stands > self.root + 1 and isinstance(parent, str) else parent
            return result | {"hash": self.hash(result["hash"]), "parentHash": moved} | self._inner(result)
        return result

    def _inner(self, result: dict[str, Any]) -> dict[str, Any]:
        return {key: self.result(value) for key, value in result.items() if isinstance(value, list)}
