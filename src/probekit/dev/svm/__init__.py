"""A Solana node for one machine: the real runtime (LiteSVM) as its ledger, behind a JSON-RPC and WebSocket server of ours.

::

    ledger = Ledger()
    node = Node(ledger)
    async with ticking(ledger), serve(node) as url: ...      # url.http, url.ws (the port after it, as on a real node)
    ledger.set_account(key, data, owner=program)
    with node.faults.behind_by(150): ...

**Real**: transactions, programs, fees, rent, logs and errors are executed by the Solana runtime. **Simulated**: slots, leaders
(none), votes (none), forks (none) and so commitment levels: a block counts as ``confirmed`` and ``finalized`` a fixed number of
blocks after it was made, and account state at each level is what it was at that block. A transaction is executed the moment it
arrives. What a node says and how it numbers its errors follows Agave's RPC.

The names are in their modules: :mod:`~probekit.dev.svm.ledger`, :mod:`~probekit.dev.svm.rpc`,
:mod:`~probekit.dev.svm.subscriptions`, :mod:`~probekit.dev.svm.faults` and :mod:`~probekit.dev.svm.server`.
"""

import importlib.util

from probekit.errors.extras import missing_extra

if importlib.util.find_spec("solders") is None:
    raise missing_extra("the local Solana node needs solders", "dev", "solana")
