"""A proxy that misbehaves, to stand before a real EVM node: HTTP and WebSocket on one port, faults switched while it runs.

::

    async with anvil() as node:
        proxy = RpcProxy(node.url, ws_url=node.ws_url)
        async with serve(proxy) as served:                          # served.http, served.ws
            with proxy.inject(faults.Lag(blocks=20)).during(): ...
            with proxy.inject(faults.Hang(methods=("eth_getLogs",))).during(): ...
            assert proxy.forwarded["eth_sendRawTransaction"] == 1

What is not at fault passes through as it is. Before a Solana node the faults of gateways and sockets are the same; another view
of the chain (lag, chain id, fork) is Ethereum's. The names are in their modules: :mod:`~probekit.dev.rpc_proxy.faults`,
:mod:`~probekit.dev.rpc_proxy.proxy`, :mod:`~probekit.dev.rpc_proxy.server` (on a socket) and
:mod:`~probekit.dev.rpc_proxy.transport` (in process, on any clock).
"""
