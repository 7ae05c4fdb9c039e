"""A real EVM node for one machine: Foundry's anvil, started for a block of code and ended with it.

::

    async with anvil(chain_id=31337) as node:
        client = EvmClient(node.url, chain_id=node.chain_id)
        await node.mine(3)
        await node.reorg(2)
        await node.rpc("anvil_dropTransaction", transaction_hash)      # any other method of the node

The program comes from npm: ``make node-evm`` puts it into ``build/node-evm`` of a checkout. Everything is real but consensus:
blocks are made by transactions, by :meth:`AnvilNode.mine` or by ``block_time``; ``safe`` and ``finalized`` are 32 and 64 blocks
behind. Methods: Foundry book, "anvil" (custom methods).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from probekit.clock import SYSTEM_CLOCK, within
from probekit.codecs.evm_rpc import decode_receipt, quantity
from probekit.errors import ConfigError, DeadlineExceeded, ProbekitError, TransportError
from probekit.model.evm import Address, Receipt
from probekit.secret import Secret
from probekit.transports.base import Engine, Request
from probekit.transports.rpc.family import result_of
from probekit.transports.rpc.wire import JSON_HEADERS, Call, decode, encode
from probekit.units import NS_PER_S, to_ns

__all__ = ["Account", "AnvilNode", "anvil", "find_anvil"]

_INSTALLED: Final = Path("build", "node-evm", "node_modules", "@foundry-rs")
_LISTENING: Final = re.compile(r"^Listening on \S+:(\d+)\s*$", re.MULTILINE)
_KEY_LINE: Final = re.compile(r"^(?:\(\d+\) 0x[0-9a-f]{64}|Mnemonic: .*)\n", re.MULTILINE)
_POLL_NS: Final = 2_000_000
_CALL_NS: Final = 60 * NS_PER_S
_END_S: Final = 5.0
_OUTPUT: Final = 4_000


@dataclass(frozen=True, slots=True)
class Account:
    """An account that the node has given money. ``key`` is its private key, in hex; nothing but a test may use it."""

    address: Address
    key: Secret


def find_anvil() -> Path:
    """The program: of ``PROBEKIT_ANVIL``, of ``build/node-evm`` of the checkout or the working directory, or of PATH.

    npm's wrapper script on PATH is passed over for the program it starts: signals would end the wrapper alone. Raises
    ``ConfigError`` where there is none.
    """
    if named := os.environ.get("PROBEKIT_ANVIL"):
        if not os.access(named, os.X_OK) or os.path.isdir(named):
            raise ConfigError(f"PROBEKIT_ANVIL={named} is not a program")
        return _program(Path(named))
    for checkout in (Path(__file__).resolve().parents[3], Path.cwd()):
        if (built := checkout / _INSTALLED / _platform_program()).exists():
            return built
    if found := shutil.which("anvil"):
        return _program(Path(found))
    raise ConfigError("no anvil: run make node-evm in a checkout, put it on PATH, or name it in PROBEKIT_ANVIL")


def _program(found: Path) -> Path:
    resolved = found.resolve()
    if resolved.suffix not in (".mjs", ".js"):
        return found
    beside = resolved.parent.parent / _platform_program()
    if not beside.exists():
        raise ConfigError(f"{found} is npm's wrapper, and {beside} is not installed")
    return beside


def _platform_program() -> Path:
    """Where npm's package for this platform has the program, below ``@foundry-rs``."""
    system = {"linux": "linux", "darwin": "darwin", "win32": "win32"}.get(sys.platform, sys.platform)
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    folder = f"anvil-{system}-{machine.get(platform.machine().lower(), platform.machine())}"
    return Path(folder, "bin", "anvil.exe" if system == "win32" else "anvil")


@dataclass(eq=False)
class AnvilNode:
    """A node that runs. ``url`` takes HTTP, ``ws_url`` the same port's WebSocket; ``accounts`` have 10,000 coins each.

    Methods raise :class:`~probekit.errors.RpcError` for what the node refuses, ``TransportError`` leaves when it is gone.
    """

    url: str
    ws_url: str
    chain_id: int
    accounts: tuple[Account, ...] = field(repr=False)
    process: asyncio.subprocess.Process = field(repr=False)
    _engine: Engine = field(repr=False)
    _output: Path = field(repr=False)

    async def rpc(self, method: str, *params: Any) -> Any:
        """One request, straight to the node: its result as plain Python values."""
        call = Call(method, params)
        due_ns = SYSTEM_CLOCK.monotonic_ns() + _CALL_NS
        request = Request("POST", self.url, headers=JSON_HEADERS, body=encode([call]), deadline_ns=due_ns)
        (outcome,) = decode((await self._engine.send(request)).body, [call])
        if isinstance(outcome, ProbekitError):
            raise outcome
        return result_of(outcome)

    def output(self) -> str:
        """The end of what the program printed, without its keys."""
        return _shown(_read(self._output))

    # -- blocks --------------------------------------------------------------------------------------------------------------

    async def mine(self, blocks: int = 1, *, spacing: timedelta | None = None) -> int:
        """Make blocks at once, ``spacing`` (whole seconds) apart by their time stamps; the newest one's number."""
        spaced = () if spacing is None else (spacing // timedelta(seconds=1),)
        await self.rpc("anvil_mine", blocks, *spaced)
        return quantity(await self.rpc("eth_blockNumber"))

    async def reorg(self, depth: int, replacing: Sequence[tuple[dict[str, Any] | bytes, int]] = ()) -> None:
        """Replace the newest ``depth`` blocks by others. Their transactions are gone from the chain, and not in the pool.

        ``replacing`` puts transactions into the new blocks, signed ones or members of those that the node signs: pairs with
        the block, counted from 0.
        """
        pairs = [["0x" + one.hex() if isinstance(one, bytes) else one, block] for one, block in replacing]
        await self.rpc("anvil_reorg", depth, pairs)

    async def automine(self, on: bool) -> None:
        """Whether each transaction makes a block at once. Off, they wait until :meth:`mine`."""
        await self.rpc("evm_setAutomine", on)

    async def block_time(self, every: timedelta | None) -> None:
        """Make a block each time so much (whole seconds) has passed, or none by time."""
        await self.rpc("evm_setIntervalMining", 0 if every is None else every // timedelta(seconds=1))

    async def increase_time(self, by: timedelta) -> None:
        """The next block's time stamp, and all after it, are later by whole seconds. No block is made."""
        await self.rpc("evm_increaseTime", by // timedelta(seconds=1))

    async def snapshot(self) -> str:
        """Remember the whole chain; what :meth:`revert` takes."""
        return str(await self.rpc("evm_snapshot"))

    async def revert(self, snapshot: str) -> None:
        """Go back to a snapshot, once: it is used up, and so are later ones. Raises ``ValueError`` for one that is."""
        if await self.rpc("evm_revert", snapshot) is not True:
            raise ValueError(f"no snapshot {snapshot} is left")

    # -- accounts and transactions -------------------------------------------------------------------------------------------

    async def set_balance(self, address: str, wei: int) -> None:
        """Give an account exactly that much."""
        await self.rpc("anvil_setBalance", str(Address(address)), hex(wei))

    async def set_code(self, address: str, code: bytes) -> None:
        """Put a contract's code at an address, with whatever storage is there."""
        await self.rpc("anvil_setCode", str(Address(address)), "0x" + code.hex())

    @contextlib.asynccontextmanager
    async def impersonating(self, address: str) -> AsyncIterator[Address]:
        """While in it, :meth:`send` takes transactions of that account, whose key nobody has."""
        account = Address(address)
        await self.rpc("anvil_impersonateAccount", str(account))
        try:
            yield account
        finally:
            await self.rpc("anvil_stopImpersonatingAccount", str(account))

    async def send(self, *, sender: str, to: str | None = None, data: bytes = b"", value: int = 0, **more: Any) -> str:
        """Send a transaction of an account that the node signs for; its hash. ``more`` are further members, as in JSON."""
        transaction: dict[str, Any] = {"from": str(Address(sender)), "data": "0x" + data.hex(), "value": hex(value), **more}
        if to is not None:
            transaction["to"] = str(Address(to))
        return str(await self.rpc("eth_sendTransaction", transaction))

    async def transact(
        self,
        *,
        sender: str,
        to: str | None = None,
        data: bytes = b"",
        value: int = 0,
        timeout: timedelta = timedelta(seconds=10),
        **more: Any,
    ) -> Receipt:
        """The same, and its receipt once a block holds it. Raises ``DeadlineExceeded`` when none does within ``timeout``."""
        sent = await self.send(sender=sender, to=to, data=data, value=value, **more)
        due_ns = SYSTEM_CLOCK.monotonic_ns() + to_ns(timeout)
        while True:
            receipt = decode_receipt(await self.rpc("eth_getTransactionReceipt", sent))
            if receipt is not None:
                return receipt
            if SYSTEM_CLOCK.monotonic_ns() >= due_ns:
                raise DeadlineExceeded(f"no block holds {sent} yet")
            await SYSTEM_CLOCK.sleep_until_ns(SYSTEM_CLOCK.monotonic_ns() + _POLL_NS)

    async def deploy(self, code: bytes, *, sender: str | None = None) -> Address:
        """Make a contract of creation code and its arguments; its address. Raises ``ValueError`` when the constructor fails."""
        receipt = await self.transact(sender=sender or self.accounts[0].address, data=code)
        if receipt.contract_address is None or not receipt.succeeded:
            raise ValueError(f"the contract was not made: {receipt.transaction_hash}")
        return receipt.contract_address

    # -- the process ---------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """While in it, the program is stopped: connections stand open, are accepted, and nothing answers. POSIX only."""
        if sys.platform == "win32":
            raise ConfigError("no process can be stopped and continued on Windows")
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the program now, as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


@contextlib.asynccontextmanager
async def anvil(
    *,
    chain_id: int = 31337,
    block_time: timedelta | None = None,
    accounts: int = 10,
    mnemonic: Secret | None = None,
    port: int = 0,
    arguments: Sequence[str] = (),
    program: Path | None = None,
    timeout: timedelta = timedelta(seconds=30),
) -> AsyncIterator[AnvilNode]:
    """A node of its own process on loopback, ready when entered; its process has ended when left, however it is left.

    Without ``block_time`` each transaction makes a block. ``port`` 0 takes a free one. ``accounts`` come from anvil's public
    mnemonic, or from ``mnemonic``, which the machine's process list then shows. ``arguments`` are handed on (``anvil --help``).
    Raises ``ConfigError``, with what the program printed, when it does not start within ``timeout``.
    """
    from probekit.transports.httpx import HttpxTransport

    found = program or find_anvil()
    due_ns = SYSTEM_CLOCK.monotonic_ns() + to_ns(timeout)
    with tempfile.TemporaryDirectory(prefix="probekit-anvil-") as folder:
        output, told = Path(folder, "output"), Path(folder, "told.json")
        command = ["--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id), "--accounts", str(accounts)]
        command += ["--config-out", str(told), "--color", "never"]
        if block_time is not None:
            command += ["--block-time", f"{to_ns(block_time) / NS_PER_S:g}"]
        if mnemonic is not None:
            command += ["--mnemonic", mnemonic.reveal()]
        process = await _started([str(found), *command, *arguments], output)
        engine = HttpxTransport(clock=SYSTEM_CLOCK)
        try:
            bound = await _listening(process, output, due_ns)
            base = f"127.0.0.1:{bound}"
            node = AnvilNode(f"http://{base}", f"ws://{base}", chain_id, _accounts(told), process, engine, output)
            await _answering(node, due_ns)
            yield node
        finally:
            try:
                await _ended(process)
            finally:
                await engine.aclose()


async def _started(command: Sequence[str], output: Path) -> asyncio.subprocess.Process:
    sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        return await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=sink, stderr=sink)
    except OSError as error:
        raise ConfigError(f"{command[0]} does not start: {error.strerror}") from None
    finally:
        os.close(sink)


async def _listening(process: asyncio.subprocess.Process, output: Path, due_ns: int) -> int:
    """The port, once the program has said it."""
    while True:
        text = _read(output)
        if said := _LISTENING.search(text):
            return int(said[1])
        gone = process.returncode is not None
        if gone or SYSTEM_CLOCK.monotonic_ns() >= due_ns:
            why = f"ended with {process.returncode}" if gone else "does not listen in time"
            raise ConfigError(f"anvil {why}: {_shown(text) or 'it printed nothing'}")
        await SYSTEM_CLOCK.sleep_until_ns(SYSTEM_CLOCK.monotonic_ns() + _POLL_NS)


async def _answering(node: AnvilNode, due_ns: int) -> None:
    clock = SYSTEM_CLOCK
    while True:
        try:
            served = quantity(await within(clock, due_ns, node.rpc("eth_chainId")))
            # A line for each request would fill the disk in a long test, and costs time.
            await within(clock, due_ns, node.rpc("anvil_setLoggingEnabled", False))
        except (TransportError, TimeoutError) as error:
            if node.process.returncode is not None or clock.monotonic_ns() >= due_ns:
                raise ConfigError(f"anvil does not answer ({error}): {node.output()}") from None
            await clock.sleep_until_ns(clock.monotonic_ns() + _POLL_NS)
            continue
        if served != node.chain_id:
            raise ConfigError(f"anvil serves chain {served}, not {node.chain_id}")
        return


def _read(output: Path) -> str:
    return output.read_text(errors="replace")


def _shown(text: str) -> str:
    return _KEY_LINE.sub("", text)[-_OUTPUT:].strip()


def _accounts(told: Path) -> tuple[Account, ...]:
    written = msgspec.json.decode(told.read_bytes())
    pairs = zip(written["available_accounts"], written["private_keys"], strict=True)
    return tuple(Account(Address(address), Secret(key, origin="anvil")) for address, key in pairs)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End the program, and wait for it, also while the task that waits is being cancelled."""
    end = asyncio.ensure_future(_end(process))
    cancelled: asyncio.CancelledError | None = None
    while not end.done():
        try:
            await asyncio.shield(end)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def _end(process: asyncio.subprocess.Process) -> None:
    for ask in (process.terminate, process.kill):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            ask()
            if sys.platform != "win32":
                process.send_signal(signal.SIGCONT)  # A stopped process sees no other signal.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _END_S)
