"""JSON-RPC over several endpoints of one chain: typed errors, health, failover, hedging, quorum, and sends that happen once."""

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
