"""A sandbox of Pyth Pro (Lazer): routers that sign with keys of their own, on one port WebSocket, REST and the history service.

::

    network = LazerNetwork(feeds=8, seed=1)
    router = Router(network, keys=("a-key",))
    async with serve(router) as served: ...          # served.http, served.ws
    with router.faults.during(silent=True): ...

Several routers over one network tell the same values at the same times, and their signatures verify against
``network.signers``. Signatures, layouts and messages are real; prices are made up.
"""
