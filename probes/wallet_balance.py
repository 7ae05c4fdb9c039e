"""Do the wallets hold enough, for how long, and did anything leave them that should not have?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

import probekit as pk
from probekit.checks import BalanceAge, BalanceFloor, Check, LatencyBudget, LatencySample, Outflow, Runway
from probekit.clients import chain_options
from probekit.clients.chain_options import CLUSTERS, shared_failure
from probekit.codecs.evm import erc20
from probekit.codecs.evm.registry import chain as evm_chain
from probekit.codecs.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAM, associated_token
from probekit.codecs.solana.token import decode_mint, decode_token_account
from probekit.errors import ConfigError, DecodeError, NotFound, ProbekitError, Reverted
from probekit.model.evm import Address, Block
from probekit.model.solana import Account
from probekit.model.wallet import Holding
from probekit.units import Amount

if TYPE_CHECKING:
    from probekit.clients.evm import EvmClient

PARTS: Final = {"evm": {"wei": 18, "gwei": 9}, "svm": {"lamports": 9}}
"""Parts of a native coin: how many decimal places each lies below it."""
OF_THE_WALLET: Final = (NotFound, DecodeError, ConfigError, Reverted)
"""Errors that say something of one wallet or token, and nothing of the endpoint."""
TOKEN_PROGRAMS: Final = (TOKEN_PROGRAM, TOKEN_2022_PROGRAM)


class ChainOption(chain_options.ChainOption, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a chain is read. What the registry knows of the chain's name need not be said."""

    native: str | None = None


class WalletOption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One balance: of the native coin, or with ``token`` of an ERC-20, SPL or Token-2022 token, called ``unit``."""

    chain: str
    address: str
    critical: Amount
    warn: Amount | None = None
    max_outflow: Amount | None = None
    token: str | None = None
    unit: str | None = None
    name: str = ""
    critical_runway: timedelta | None = None
    warn_runway: timedelta | None = None

    def __post_init__(self) -> None:
        if (self.token is None) != (self.unit is None):
            raise ValueError("token and unit go together: the unit is what the thresholds of that token are written in")

    @property
    def id(self) -> str:
        return "/".join(one for one in (self.chain, self.address, self.token) if one)


class Options(pk.Options, frozen=True, kw_only=True):
    chains: Annotated[
        dict[str, ChainOption],
        pk.doc(
            "chains by name: endpoints (with `{key}` for `key`), and for one that is not known chain_id or genesis_hash, native"
        ),
    ]
    wallets: Annotated[
        tuple[WalletOption, ...],
        pk.doc("chain, address, critical, and at will warn, max_outflow, token with unit, name, critical_runway, warn_runway"),
    ]
    critical_runway: Annotated[timedelta, pk.doc("runway under which a wallet is CRITICAL")] = timedelta(hours=24)
    warn_runway: Annotated[timedelta, pk.doc("runway under which to warn")] = timedelta(hours=72)
    window: Annotated[timedelta, pk.doc("over how long the rate of spending is taken")] = timedelta(hours=24)
    min_history: Annotated[timedelta, pk.doc("how long to watch before there is a runway")] = timedelta(hours=1)
    outflow_factor: Annotated[int, pk.doc("how many times a usual decrease is an outflow")] = 20
    outflow_hold: Annotated[timedelta, pk.doc("how long an outflow stays CRITICAL")] = timedelta(hours=1)
    max_age: Annotated[timedelta, pk.doc("age at which the newest state read says nothing any more")] = timedelta(minutes=5)
    max_latency: Annotated[timedelta, pk.doc("p95 of the time to read a chain, above which it is too slow")] = timedelta(
        seconds=10
    )

    def __post_init__(self) -> None:
        problems = [*self._problems()]
        if problems:
            raise ValueError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        for name, chain in self.chains.items():
            if chain.family(name) is None:
                yield f"chains: {name} is not known; give it chain_id or genesis_hash"
            elif native_of(name, chain) is None:
                yield f"chains: {name} is not known; say what its coin is called, as native: ETH"
        seen: set[str] = set()
        for wallet in self.wallets:
            if wallet.id in seen:
                yield f"wallets: {wallet.id} is given twice"
            seen.add(wallet.id)
            if wallet.chain not in self.chains:
                yield f"wallets: {wallet.address} is on {wallet.chain}, which is not under chains"
                continue
            try:
                checks_of(self, wallet)
                parse_address(self, wallet.chain, wallet.address)
                if wallet.token is not None:
                    parse_address(self, wallet.chain, wallet.token)
            except ValueError as error:
                yield f"wallets: {wallet.name or wallet.id}: {error}"


def native_of(name: str, chain: ChainOption) -> tuple[str, int] | None:
    """The native coin's unit and decimals."""
    if chain.family(name) == "svm":
        symbol = chain.native or ("SOL" if name in CLUSTERS else None)
        return None if symbol is None else (symbol, 9)
    known = evm_chain(name if chain.chain_id is None else chain.chain_id)
    symbol = chain.native or (known.native_symbol if known is not None else None)
    return None if symbol is None else (symbol, known.native_decimals if known is not None else 18)


def parse_address(options: Options, chain: str, text: str) -> Address | pk.Pubkey:
    """Raises ``ValueError``."""
    return Address(text) if options.chains[chain].family(chain) == "evm" else pk.Pubkey(text)


def in_unit(options: Options, wallet: WalletOption, amount: Amount | None) -> Amount | None:
    """A threshold in the unit that the balance is told in. Raises ``ValueError`` for a unit that is another's."""
    if amount is None:
        return None
    chain = options.chains[wallet.chain]
    native = native_of(wallet.chain, chain)
    if wallet.unit is not None or native is None:
        unit, parts = wallet.unit or "", dict[str, int]()
    else:
        unit, parts = native[0], PARTS[chain.family(wallet.chain) or "evm"]
    if amount.unit in parts:
        # Not scaleb: it rounds to the context's digits.
        sign, digits, exponent = amount.value.as_tuple()
        return Amount(Decimal((sign, digits, int(exponent) - parts[amount.unit])), unit)
    if amount.unit != unit:
        known = ", ".join((unit, *parts))
        raise ValueError(f"{amount} is in an unknown unit; this balance is in {known}")
    return amount


def checks_of(options: Options, wallet: WalletOption) -> Sequence[Check]:
    """Raises ``ValueError`` for thresholds that do not fit together."""
    critical = in_unit(options, wallet, wallet.critical)
    if critical is None:
        raise ValueError("critical is needed")
    window, factor = options.window, options.outflow_factor
    return [
        BalanceFloor(critical, in_unit(options, wallet, wallet.warn)),
        Runway(
            wallet.critical_runway or options.critical_runway,
            wallet.warn_runway or options.warn_runway,
            window,
            options.min_history,
            factor,
        ),
        Outflow(in_unit(options, wallet, wallet.max_outflow), factor, window=window, hold=options.outflow_hold),
        BalanceAge(options.max_age),
    ]


async def targets(ctx: pk.Context[Options]) -> Sequence[pk.Target]:
    used = dict.fromkeys(wallet.chain for wallet in ctx.options.wallets)
    chains = [pk.Target(name, "endpoint", f"chain {name}") for name in used]
    return [*chains, *(pk.Target(one.id, "account", one.name, behind=one.chain) for one in ctx.options.wallets)]


async def observe(ctx: pk.Context[Options], watched: Sequence[pk.Target]) -> AsyncIterator[pk.Observation[Any] | pk.Failure]:
    import asyncio

    by_chain: dict[str, list[WalletOption]] = {}
    for wallet in ctx.options.wallets:
        by_chain.setdefault(wallet.chain, []).append(wallet)
    # All chains at once: a tick takes as long as the slowest, not as all of them together.
    for told in await asyncio.gather(*(read_chain(ctx, name, wallets) for name, wallets in by_chain.items())):
        for one in told:
            yield one


async def read_chain(
    ctx: pk.Context[Options], name: str, wallets: Sequence[WalletOption]
) -> list[pk.Observation[Any] | pk.Failure]:
    """Every wallet of one chain, and the chain's own answer: its time, or why none of it could be read."""
    clock, began_ns = ctx.clock, ctx.clock.monotonic_ns()
    read = read_evm if ctx.options.chains[name].family(name) == "evm" else read_solana
    try:
        found = await read(ctx, name, wallets)
        if (lost := shared_failure(found, own=OF_THE_WALLET)) is not None:
            raise lost
    except ProbekitError as error:
        return [pk.Failure.of(error, name, clock.now())]
    at, elapsed_ns = clock.now(), clock.monotonic_ns() - began_ns
    told: list[pk.Observation[Any] | pk.Failure] = [pk.Observation(LatencySample(elapsed_ns), name, at, name, elapsed_ns)]
    for wallet, holding in zip(wallets, found, strict=True):
        if isinstance(holding, ProbekitError):
            told.append(pk.Failure(holding, name, at, wallet.id, elapsed_ns))
        else:
            told.append(pk.Observation(holding, name, at, wallet.id, elapsed_ns))
    return told


# -- EVM ---------------------------------------------------------------------------------------------------------------------


async def read_evm(ctx: pk.Context[Options], name: str, wallets: Sequence[WalletOption]) -> list[Holding | ProbekitError]:
    """All at one block."""
    option = ctx.options.chains[name]
    chain_id, native = option.evm_id(name), native_of(name, option)
    assert chain_id is not None
    assert native is not None
    evm = await ctx.evm(name, option.nodes, chain_id=chain_id)
    reads = await evm.balances([(wallet.address, wallet.token) for wallet in wallets])
    tokens = await described_tokens(ctx, evm, wallets, reads.block)
    found: list[Holding | ProbekitError] = []
    for wallet, amount in zip(wallets, reads.results, strict=True):
        places = native[1] if wallet.token is None else decimals_of(wallet.unit, *tokens[wallet.token])
        if isinstance(amount, ProbekitError):
            found.append(amount)
        elif isinstance(places, ProbekitError):
            found.append(places)
        else:
            found.append(Holding(amount, places, wallet.unit or native[0], reads.block.number, reads.block.time))
    return found


Described = tuple[int | ProbekitError, str | ProbekitError]
"""A token's decimal places and its symbol, each as it says itself, or why it does not."""


async def described_tokens(
    ctx: pk.Context[Options], evm: EvmClient, wallets: Sequence[WalletOption], block: Block
) -> dict[str, Described]:
    """Every token by its address; one that has told its decimals, and its symbol or that it has none, is not asked again."""
    kept: dict[str, Described] = ctx.state(f"tokens {evm.chain_id}", dict)
    tokens = dict.fromkeys(wallet.token for wallet in wallets if wallet.token is not None)
    asked = [token for token in tokens if token not in kept or isinstance(decimals_of(None, *kept[token]), ProbekitError)]
    if asked:
        calls: list[tuple[str, Any]] = [(token, call) for token in asked for call in (erc20.decimals(), erc20.symbol())]
        results = (await evm.multicall(calls, block)).results
        kept.update(zip(asked, zip(results[::2], results[1::2], strict=True), strict=True))
    return kept


def decimals_of(unit: str | None, places: int | ProbekitError, symbol: str | ProbekitError) -> int | ProbekitError:
    """The token's own word, if it is called ``unit``, in which the thresholds are written.

    A token without a symbol is believed; one whose symbol an endpoint did not tell is not.
    """
    if isinstance(symbol, ProbekitError) and not isinstance(symbol, OF_THE_WALLET):
        return symbol
    if unit is not None and isinstance(symbol, str) and symbol != unit:
        return ConfigError(f"the token calls itself {symbol}, and its thresholds are in {unit}")
    return places


# -- Solana ------------------------------------------------------------------------------------------------------------------


async def read_solana(ctx: pk.Context[Options], name: str, wallets: Sequence[WalletOption]) -> list[Holding | ProbekitError]:
    """All in one batch: of a token the wallet, both accounts that it may hold the token in, and the mint."""
    option = ctx.options.chains[name]
    native = native_of(name, option)
    assert native is not None
    solana = await ctx.solana(name, option.nodes, genesis_hash=option.genesis(name))
    places = ctx.state(f"accounts {name}", lambda: {wallet.id: accounts_of(wallet) for wallet in wallets})
    wanted = list(dict.fromkeys(key for keys in places.values() for key in keys))
    read = dict(zip(wanted, await solana.accounts_at(wanted), strict=True))
    found: list[Holding | ProbekitError] = []
    for wallet in wallets:
        slots, items = zip(*(read[key] for key in places[wallet.id]), strict=True)
        problem = next((item for item in items if isinstance(item, ProbekitError)), None)
        try:
            if problem is not None:
                raise problem
            amount, decimals = token_amount(wallet, items) if wallet.token else (lamports(items[0]), native[1])
            found.append(Holding(amount, decimals, wallet.unit or native[0], min(slots)))
        except ProbekitError as error:
            found.append(error)
    return found


def accounts_of(wallet: WalletOption) -> tuple[pk.Pubkey, ...]:
    owner = pk.Pubkey(wallet.address)
    if wallet.token is None:
        return (owner,)
    mint = pk.Pubkey(wallet.token)
    return (owner, mint, *(associated_token(owner, mint, token_program=program) for program in TOKEN_PROGRAMS))


def lamports(account: Account | None) -> int:
    return 0 if account is None else account.lamports


def token_amount(wallet: WalletOption, items: Sequence[Account | None]) -> tuple[int, int]:
    """(base units, decimals) of the wallet's token: in the account at the address itself where that is one, else in the one
    that the mint's program derives. Raises ``NotFound``, ``DecodeError``.
    """
    holder, mint, *associated = items
    if mint is None:
        raise NotFound(f"no token {wallet.token} on {wallet.chain}", subject=wallet.token)
    if mint.owner not in TOKEN_PROGRAMS:
        raise DecodeError(f"{wallet.token} is owned by {mint.owner}, not by a token program", raw=mint.data)
    decimals = decode_mint(mint.data).decimals
    own = holder is not None and holder.owner == mint.owner
    account = holder if own else associated[TOKEN_PROGRAMS.index(mint.owner)]
    if account is None or account.owner != mint.owner:
        return 0, decimals
    held = decode_token_account(account.data)
    if held.mint != mint.key:
        raise DecodeError(f"{account.key} holds another token, {held.mint}", raw=account.data)
    return held.amount, decimals


def checks(options: Options, target: pk.Target) -> Sequence[Check]:
    if target.kind == "endpoint":
        return [LatencyBudget(options.max_latency)]
    return checks_of(options, next(wallet for wallet in options.wallets if wallet.id == target.id))


probe = pk.Probe.poll(
    name="wallet_balance",
    question=__doc__ or "",
    options=Options,
    targets=targets,
    observe=observe,
    checks=checks,
    interval=timedelta(minutes=1),
    deadline=timedelta(seconds=30),
    metrics=("wallet.balance", "wallet.runway", "wallet.age", "latency"),
)

if __name__ == "__main__":
    raise SystemExit(pk.main(probe))
