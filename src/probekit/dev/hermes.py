"""``python -m probekit.dev.hermes``: a sandbox Hermes in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

from probekit.dev.network import SandboxNetwork
from probekit.dev.sandbox import Sandbox
from probekit.dev.server import serve
from probekit.errors import ConfigError
from probekit.model import TrustRoot
from probekit.secret import Secret
from probekit.units import parse_duration


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        "python -m probekit.dev.hermes", description="A sandbox Hermes with genuine signatures.", allow_abbrev=False
    )
    add = made.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=8080, help="port of the first endpoint; 0 takes free ones (default: %(default)s)")
    add("--endpoints", type=int, default=1, help="endpoints of the one network, on ports that follow (default: %(default)s)")
    add("--root", choices=[str(root) for root in TrustRoot], default="pro", help="trust root (default: %(default)s)")
    add("--feeds", type=int, default=64, help="how many feeds, up to 2000 (default: %(default)s)")
    add("--seed", type=int, default=1, help="seed of prices and signers (default: %(default)s)")
    add("--publish-every", default="400ms", help="time between slots, a multiple of the root's (default: %(default)s)")
    add("--key-file", help="file with the API key it wants; without one it is open")
    add("--control", action="store_true", help="let faults be set over HTTP at /_sandbox/faults")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run until interrupted or terminated; prints the URLs once they answer. 3 when it cannot run."""
    arguments = parser().parse_args(argv)
    try:
        if arguments.endpoints < 1:
            raise ValueError("--endpoints takes at least one")
        network = SandboxNetwork(
            root=TrustRoot(arguments.root),
            feeds=arguments.feeds,
            seed=arguments.seed,
            publish_every=parse_duration(arguments.publish_every),
        )
        key = None if arguments.key_file is None else Secret.file(arguments.key_file)
        endpoints = [Sandbox(network, api_key=key, control=arguments.control) for _ in range(arguments.endpoints)]
        asyncio.run(_serve(endpoints, arguments.host, arguments.port))
    except KeyboardInterrupt:
        return 130
    except ConfigError as error:
        print(error.message, file=sys.stderr)
        return 3
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 3
    return 0


async def _serve(endpoints: Sequence[Sandbox], host: str, port: int) -> None:
    ended = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # no signal handlers on this platform's loop
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with contextlib.AsyncExitStack() as stack:
        for number, sandbox in enumerate(endpoints):
            url = await stack.enter_async_context(serve(sandbox, host=host, port=port + number if port else 0))
            print(f"sandbox Hermes at {url}", flush=True)
        network = endpoints[0].network
        signers = network.signing.signer_set()
        print(f"signed by set {signers.index} of the {network.root} root, {len(signers.signers)} signers:", flush=True)
        for signer in signers.signers:
            print(f"  0x{signer.hex()}", flush=True)
        await ended.wait()


if __name__ == "__main__":
    raise SystemExit(main())
