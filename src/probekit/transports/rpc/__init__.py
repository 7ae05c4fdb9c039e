"""JSON-RPC over several endpoints of one chain: typed errors, health, failover, hedging, quorum, and sends that happen once."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from probekit.model.rpc import EndpointState
    from probekit.transports.rpc.endpoint import Endpoint, HealthPolicy, Standing
    from probekit.transports.rpc.family import EVM, SVM, ChainFamily
    from probekit.transports.rpc.policy import PoolPolicy
    from probekit.transports.rpc.pool import EndpointPool
    from probekit.transports.rpc.quorum import Quorum
    from probekit.transports.rpc.record import Attempt, CallRecord, StateChange
    from probekit.transports.rpc.wire import Call, Outcome

__all__ = [
    "EVM",
    "SVM",
    "Attempt",
    "Call",
    "CallRecord",
    "ChainFamily",
    "Endpoint",
    "EndpointPool",
    "EndpointState",
    "HealthPolicy",
    "Outcome",
    "PoolPolicy",
    "Quorum",
    "Standing",
    "StateChange",
]

_WHERE: Final = {
    "EndpointState": "probekit.model.rpc",
    "Endpoint": "probekit.transports.rpc.endpoint",
    "HealthPolicy": "probekit.transports.rpc.endpoint",
    "Standing": "probekit.transports.rpc.endpoint",
    "EVM": "probekit.transports.rpc.family",
    "SVM": "probekit.transports.rpc.family",
    "ChainFamily": "probekit.transports.rpc.family",
    "PoolPolicy": "probekit.transports.rpc.policy",
    "EndpointPool": "probekit.transports.rpc.pool",
    "Quorum": "probekit.transports.rpc.quorum",
    "Attempt": "probekit.transports.rpc.record",
    "CallRecord": "probekit.transports.rpc.record",
    "StateChange": "probekit.transports.rpc.record",
    "Call": "probekit.transports.rpc.wire",
    "Outcome": "probekit.transports.rpc.wire",
}
"""Loaded when they are first asked for: an endpoint is named where a probe is defined, a pool is made by a run."""


def __getattr__(name: str) -> Any:
    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module 'probekit.transports.rpc' has no attribute {name!r}")
    value = getattr(importlib.import_module(where), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
