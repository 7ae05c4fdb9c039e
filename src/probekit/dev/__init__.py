"""The local development environment: a sandbox Hermes with genuine signatures, and faults to inject into it.

::

    network = SandboxNetwork(root=TrustRoot.PRO, feeds=16, seed=1)
    async with serve(Sandbox(network)) as url: ...
    with sandbox.inject(faults.StaleFeed("Crypto.BTC/USD")).during(): ...

The names are in their modules: :mod:`~probekit.dev.network`, :mod:`~probekit.dev.sandbox`, :mod:`~probekit.dev.faults`,
:mod:`~probekit.dev.transport` (in process, on any clock) and :mod:`~probekit.dev.server` (on a socket).
"""
