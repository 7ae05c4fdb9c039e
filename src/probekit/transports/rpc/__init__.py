"""JSON-RPC over several endpoints of one chain: typed errors, health, failover, hedging, quorum, and sends that happen once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from probekit._lazy import exported

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
    "EndpointState": "model.rpc",
    "Endpoint": "transports.rpc.endpoint",
    "HealthPolicy": "transports.rpc.endpoint",
    "Standing": "transports.rpc.endpoint",
    "EVM": "transports.rpc.family",
    "SVM": "transports.rpc.family",
    "ChainFamily": "transports.rpc.family",
    "PoolPolicy": "transports.rpc.policy",
    "EndpointPool": "transports.rpc.pool",
    "Quorum": "transports.rpc.quorum",
    "Attempt": "transports.rpc.record",
    "CallRecord": "transports.rpc.record",
    "StateChange": "transports.rpc.record",
    "Call": "transports.rpc.wire",
    "Outcome": "transports.rpc.wire",
}
"""Loaded when they are first asked for: an endpoint is named where a probe is defined, a pool is made by a run."""


def __getattr__(name: str) -> Any:
    return exported(__name__, name, _WHERE, root="probekit")


def __dir__() -> list[str]:
    return sorted(__all__)
