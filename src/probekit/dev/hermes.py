"""``python -m probekit.dev.hermes``: a sandbox Hermes in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.errors import ConfigError
from probekit.model import TrustRoot
from probekit.secret import Secret


def main(argv: Sequence[str] | None = None) -> int:
    """Run until interrupted; prints the URL once it answers."""
    parser = argparse.ArgumentParser("python -m probekit.dev.hermes", description="A sandbox Hermes with genuine signatures.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port; 0 takes a free one (default: %(default)s)")
    parser.add_argument("--root", choices=[str(root) for root in TrustRoot], default="pro", help="trust root (default: pro)")
    parser.add_argument("--feeds", type=int, default=64, help="how many feeds (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of prices and signers (default: %(default)s)")
    parser.add_argument("--key-file", help="file with the API key it wants; without one it is open")
    parser.add_argument("--control", action="store_true", help="let faults be set over HTTP at /_sandbox/faults")
    arguments = parser.parse_args(argv)
    network = SandboxNetwork(root=TrustRoot(arguments.root), feeds=arguments.feeds, seed=arguments.seed)
    key = None if arguments.key_file is None else Secret.file(arguments.key_file)
    try:
        asyncio.run(_serve(Sandbox(network, api_key=key, control=arguments.control), arguments.host, arguments.port))
    except KeyboardInterrupt:
        return 130
    except ConfigError as error:
        print(error.message, file=sys.stderr)
        return 3
    return 0


async def _serve(sandbox: Sandbox, host: str, port: int) -> None:
    async with serve(sandbox, host=host, port=port) as url:
        print(f"sandbox Hermes at {url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    raise SystemExit(main())
