"""Known chains and Pyth's contracts on them: data, each with its source, replaceable by the caller.

An address means nothing without its chain: 0xdF21D137Aadc95588205586636710ca2890538d5 is a price contract on bsc and Entropy on
optimism. The deployment says which contract it is, not which root it trusts today: original contracts were upgraded in place,
so ``validDataSources()``, ``wormhole()`` and the guardian set are read from the chain.

Sources: contracts and EVM chain ids, pyth-crosschain ``contract_manager/src/store`` at 7c915eb10 (2026-07-23); Wormhole ids,
``governance/xc_admin/packages/xc_admin_common/src/chains.ts`` there and, for base, Wormhole's own table; native currencies and
block times, wevm/viem ``src/chains/definitions`` and ``src/op-stack/chainConfig.ts`` at 0912a29d5 (2026-08-22), for sepolia's
block time the consensus specification (12 s slots), for hyperevm's Hyperliquid's documentation (small blocks).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from probekit.model.evm import Address

SOURCE: Final = "pyth-network/pyth-crosschain contract_manager/src/store @ 7c915eb10"


class Deployment(StrEnum):
    """Two sets of contracts stand side by side on many chains since 2026."""

    STABLE = "stable"
    """The original contracts; integrations kept their addresses."""
    PRO = "pro-compatible-production"
    """Those deployed for the pro root, before the original ones were upgraded."""


class ContractKind(StrEnum):
    """What a contract of Pyth's does."""

    PYTH = "pyth"
    """Price feeds."""
    WORMHOLE = "wormhole"
    """The receiver that verifies for the price feeds."""
    ENTROPY = "entropy"
    LAZER = "lazer"
    """The verifier of Pyth Pro (Lazer) updates."""
    EXECUTOR = "executor"
    """Carries out governance on this chain."""


@dataclass(frozen=True, slots=True)
class EvmChain:
    """A chain. ``chain_id`` is the EVM's number, ``wormhole_id`` the one that Pyth's contracts there call their own.

    ``block_time_ms`` is nominal, ``None`` where no source names it.
    """

    name: str
    chain_id: int
    wormhole_id: int
    native_symbol: str
    block_time_ms: int | None
    mainnet: bool
    native_decimals: int = 18


@dataclass(frozen=True, slots=True)
class DeployedContract:
    """A contract at its place; ``source`` names where that is written."""

    chain: EvmChain
    address: Address
    kind: ContractKind
    deployment: Deployment = Deployment.STABLE
    source: str = SOURCE


@dataclass(frozen=True, slots=True)
class _Row:
    """A chain with its contracts, several addresses of one kind parted by spaces. A new chain is one more of these."""

    name: str
    chain_id: int
    wormhole_id: int
    native_symbol: str
    block_time_ms: int | None
    mainnet: bool
    pyth: str = ""
    pyth_pro: str = ""
    wormhole: str = ""
    wormhole_pro: str = ""
    entropy: str = ""
    lazer: str = ""
    executor: str = ""


_USUAL: Final = {
    "pyth": "0x2880aB155794e7179c9eE2e38200202908C17B43",
    "wormhole": "0xb27e5ca259702f209a29225d0eDdC131039C9933",
}
"""The same two addresses on many chains."""
_LAZER: Final = "0xACeA761c27A909d4D3895128EBe6370FDE2dF481"
"""The same on nearly every chain: deployed by CREATE3."""

# fmt: off
_ROWS: Final = (
    _Row(
        "ethereum", 1, 2, "ETH", 12000, True,
        pyth="0x4305FB66699C3B2702D4d05CF36551390A4c69C6",
        pyth_pro="0x14b9932cc9AC8Ee03301665a8644A753f46D8552",
        wormhole="0x74f09cb3c7e2A01865f424FD14F6dc9A14E3e94E",
        wormhole_pro="0x3a2DD09B4739D905183D503d594c8FB3e3D41820",
    ),
    _Row(
        "arbitrum", 42_161, 23, "ETH", 250, True,
        pyth="0xff1a0f4744e8582DF1aE09D5611b887B6a12925C",
        pyth_pro="0xe15357fB7ab31E091583b9c4b4135BB2f176f38e",
        wormhole="0xEbe57e8045F2F230872523bbff7374986E45C486",
        wormhole_pro="0x8d289CdD60E7F73F352F42c8524a06Ef1ad746f8",
        entropy="0x7698E925FfC29655576D0b361D75Af579e20AdAc",
        lazer=_LAZER,
        executor="0x24654078A8E043e8985D962a5100CDfA2026f92C",
    ),
    _Row(
        "optimism", 10, 24, "ETH", 2000, True,
        pyth="0xff1a0f4744e8582DF1aE09D5611b887B6a12925C",
        pyth_pro="0xa78951b6bADC9F4740f6f456E9144705D5C5E4B2",
        wormhole="0x87047526937246727E4869C5f76A347160e08672",
        wormhole_pro="0x237b7aFF1Af5d9F311f830234792d429355A58F3",
        entropy="0xdF21D137Aadc95588205586636710ca2890538d5",
        executor="0x6E7D74FA7d5c90FEF9F0512987605a6d546181Bb",
    ),
    _Row(
        "base", 8_453, 30, "ETH", 2000, True,
        pyth="0x8250f4aF4B972684F7b336503E2D6dFeDeB1487a",
        pyth_pro="0xbC16aee60f64864882BC6C4E428e148Fc0E272F5",
        wormhole="0x87047526937246727E4869C5f76A347160e08672",
        wormhole_pro="0x581aaF059CC83A353fc51aDC9a0480FbeDFc6c55",
        entropy="0x6E7D74FA7d5c90FEF9F0512987605a6d546181Bb",
        lazer=_LAZER,
        executor="0xf0a1b566B55e0A0CB5BeF52Eb2a57142617Bee67",
    ),
    _Row(
        "bsc", 56, 4, "BNB", 750, True,
        pyth="0x4D7E825f80bDf85e913E0DD2A2D54927e9dE1594",
        pyth_pro="0xdF21D137Aadc95588205586636710ca2890538d5",
        wormhole="0x41955476936DdA8d0fA98b8d1778172F7E4fCcA1",
        wormhole_pro="0x6E7D74FA7d5c90FEF9F0512987605a6d546181Bb",
        lazer=_LAZER,
        executor="0x26DD80569a8B23768A1d80869Ed7339e07595E85",
    ),
    _Row(
        "polygon", 137, 5, "POL", 2000, True,
        pyth="0xff1a0f4744e8582DF1aE09D5611b887B6a12925C",
        pyth_pro="0x6E7D74FA7d5c90FEF9F0512987605a6d546181Bb",
        wormhole="0x35a58BeeE77a2Ad547FcDed7e8CB1c6e19746b13",
        wormhole_pro="0xf0a1b566B55e0A0CB5BeF52Eb2a57142617Bee67",
        lazer=_LAZER,
        executor="0xEbe57e8045F2F230872523bbff7374986E45C486",
    ),
    _Row(
        "avalanche", 43_114, 6, "AVAX", 1700, True,
        pyth="0x4305FB66699C3B2702D4d05CF36551390A4c69C6",
        wormhole="0x41955476936DdA8d0fA98b8d1778172F7E4fCcA1",
    ),
    _Row(
        "linea", 59_144, 60024, "ETH", 2000, True,
        pyth="0xA2aa501b19aff244D90cc15a4Cf739D2725B5729",
        pyth_pro="0x986c00a290D1767651723c7cF9e5bD7bD745f6f9",
        wormhole="0x0708325268dF9F66270F1401206434524814508b",
        wormhole_pro="0x621330D0ECd449A06b72f41C1A93626cCEC53ccA",
    ),
    _Row(
        "blast", 81_457, 60046, "ETH", 2000, True,
        pyth="0xA2aa501b19aff244D90cc15a4Cf739D2725B5729",
        wormhole="0xb27e5ca259702f209a29225d0eDdC131039C9933",
        entropy="0x5744Cbf430D99456a0A8771208b674F27f8EF0Fb",
        executor="0x87047526937246727E4869C5f76A347160e08672",
    ),
    _Row(
        "cronos", 25, 60001, "CRO", None, True,
        pyth="0xE0d0e68297772Dd5a1f1D99897c581E2082dbA5B",
        pyth_pro="0x6E7D74FA7d5c90FEF9F0512987605a6d546181Bb",
        wormhole="0x41955476936DdA8d0fA98b8d1778172F7E4fCcA1",
        wormhole_pro="0xf0a1b566B55e0A0CB5BeF52Eb2a57142617Bee67",
        lazer=_LAZER,
        executor="0xDd24F84d36BF92C65F92307595335bdFab5Bbd21",
    ),
    _Row(
        "unichain", 130, 60070, "ETH", 1000, True,
        **_USUAL,
        entropy="0x36825bf3Fbdf5a29E2d5148bfe7Dcf7B5639e320",
        executor="0x5744Cbf430D99456a0A8771208b674F27f8EF0Fb",
    ),
    _Row(
        "berachain_mainnet", 80_094, 60076, "BERA", 2000, True,
        **_USUAL,
        pyth_pro="0x2F968931d1B7326d2875E9500980211dcc535eE5",
        wormhole_pro="0x8E2007c635F39fE3F0449a90977818C9e88916eF",
        entropy="0x36825bf3Fbdf5a29E2d5148bfe7Dcf7B5639e320",
        lazer=_LAZER,
        executor="0x5744Cbf430D99456a0A8771208b674F27f8EF0Fb",
    ),
    _Row(
        "fantom_sonic_mainnet", 146, 60072, "S", 630, True,
        **_USUAL,
        pyth_pro="0x2b9Bb0042dB2F30650d73BB83CBAE584807d2FE4",
        wormhole_pro="0x9fcDCAb0A147e799Fa866594B2c4c20F4eF29F37",
        entropy="0x36825bf3Fbdf5a29E2d5148bfe7Dcf7B5639e320",
        lazer=_LAZER,
        executor="0x5744Cbf430D99456a0A8771208b674F27f8EF0Fb",
    ),
    _Row(
        "soneium", 1_868, 60074, "ETH", 2000, True,
        **_USUAL,
        pyth_pro="0xC0F566304A44d27c40d4F81D629520Ac4eD1850E",
        wormhole_pro="0x2b9Bb0042dB2F30650d73BB83CBAE584807d2FE4",
        entropy="0x0708325268dF9F66270F1401206434524814508b",
        lazer=_LAZER,
        executor="0x41c9e39574F40Ad34c79f1C99B66A45eFB830d4c",
    ),
    _Row(
        "hyperevm", 999, 60079, "HYPE", 1000, True,
        pyth="0xe9d69CdD6Fe41e7B621B4A688C5D1a68cB5c8ADc",
        pyth_pro="0x298B2f0ae8Efa7f90D845da02ef2E3a88A9BbC02",
        wormhole="0x66E9cBa5529824a03B5Bc9931d9c63637101D0F7",
        wormhole_pro="0x6b81963B9302091910852337d0071aECe9c0775c",
        entropy="0xfA25E653b44586dBbe27eE9d252192F0e4956683",
        lazer=_LAZER,
        executor="0x5D289Ad1CE59fCC25b6892e7A303dfFf3a9f7167",
    ),
    _Row(
        "monad", 143, 60087, "MON", 400, True,
        **_USUAL,
        pyth_pro="0xB754BA51E3861Ac0Cb67f73CD046dE790A36508d",
        wormhole_pro="0xCAC639d17193b6EBfE8Dd23b07A0c0E7Bcf167B8",
        entropy="0xD458261E832415CFd3BAE5E416FdF3230ce6F134",
        lazer=_LAZER,
        executor="0x26DD80569a8B23768A1d80869Ed7339e07595E85",
    ),
    _Row(
        "sei_evm_mainnet", 1_329, 50078, "SEI", None, True,
        **_USUAL,
        entropy="0x98046Bd286715D3B0BC227Dd7a956b83D8978603",
        executor="0x74f09cb3c7e2A01865f424FD14F6dc9A14E3e94E",
    ),
    _Row(
        "megaeth", 4_326, 60095, "ETH", 1000, True,
        **_USUAL,
        lazer=_LAZER,
        executor="0x5744Cbf430D99456a0A8771208b674F27f8EF0Fb",
    ),
    _Row(
        "sepolia", 11_155_111, 50029, "ETH", 12000, False,
        pyth="0x26DD80569a8B23768A1d80869Ed7339e07595E85 0xDd24F84d36BF92C65F92307595335bdFab5Bbd21",
        pyth_pro="0xBb86bCc951A62DF86826219d9251Ee05F2c1e286",
        wormhole="0x41c9e39574F40Ad34c79f1C99B66A45eFB830d4c",
        wormhole_pro="0x863AEFE2D2469A85A0b85cA695AB13Ace0Af1D4b",
        lazer=_LAZER,
        executor="0xB0D4a9640aDdd415551B6A4fe75403c9f73A7C49",
    ),
    _Row(
        "arbitrum_sepolia", 421_614, 50030, "ETH", 250, False,
        pyth="0x4374e5a8b9C22271E9EB878A2AA31DE97DF15DAF",
        pyth_pro="0x0B73614636C855Bf23F342F307FB981A3e47f42B",
        wormhole="0xfA25E653b44586dBbe27eE9d252192F0e4956683",
        wormhole_pro="0xCE20a60782D5216eb7C361387dF2d95DC79AF803",
        entropy="0x549Ebba8036Ab746611B4fFA1423eb0A4Df61440",
        lazer=_LAZER,
        executor="0x9DF02366A266D79DA5E978aDBEe8B8502117ee1a",
    ),
    _Row(
        "optimism_sepolia", 11_155_420, 50033, "ETH", 2000, False,
        pyth="0x0708325268dF9F66270F1401206434524814508b",
        pyth_pro="0xEAef40A4d9b04B511e11DdDc1c16037Da49E3e35",
        wormhole="0x8D254a21b3C86D32F7179855531CE99164721933",
        wormhole_pro="0xa9d75911EA8cF35FEaF23A4966F0D19A2F19814c",
        entropy="0x4821932D0CDd71225A6d914706A621e0389D7061",
        lazer=_LAZER,
        executor="0x549Ebba8036Ab746611B4fFA1423eb0A4Df61440",
    ),
    _Row(
        "base_sepolia", 84_532, 50043, "ETH", 2000, False,
        pyth="0xA2aa501b19aff244D90cc15a4Cf739D2725B5729",
        pyth_pro="0x5f52e4DBEA21f5b23523B6e20d50c29ae0a4EB83",
        wormhole="0x8250f4aF4B972684F7b336503E2D6dFeDeB1487a",
        wormhole_pro="0x5C8377cF075F215c017E1048610D304703380cCb",
        entropy="0x41c9e39574F40Ad34c79f1C99B66A45eFB830d4c",
        lazer=_LAZER,
        executor="0x23f0e8FAeE7bbb405E7A7C3d60138FCfd43d7509",
    ),
    _Row(
        "bsc_testnet", 97, 50016, "tBNB", None, False,
        pyth="0x5744Cbf430D99456a0A8771208b674F27f8EF0Fb",
        wormhole="0xe9d69CdD6Fe41e7B621B4A688C5D1a68cB5c8ADc",
        lazer=_LAZER,
        executor="0xD458261E832415CFd3BAE5E416FdF3230ce6F134",
    ),
    _Row(
        "unichain_sepolia", 1_301, 50099, "ETH", 1000, False,
        **_USUAL,
        entropy="0x8D254a21b3C86D32F7179855531CE99164721933",
        executor="0x36825bf3Fbdf5a29E2d5148bfe7Dcf7B5639e320",
    ),
    _Row(
        "hyperevm_testnet", 998, 50109, "HYPE", None, False,
        **_USUAL,
        pyth_pro="0x99fA5f405b795cA03F2AE47Cd48FEd22029892a2",
        wormhole_pro="0xf77705A55aA859A80f60b8d8C4A03D7f69D2D7Ba",
        entropy="0x23f0e8FAeE7bbb405E7A7C3d60138FCfd43d7509",
        executor="0x98046Bd286715D3B0BC227Dd7a956b83D8978603",
    ),
    _Row(
        "monad_testnet", 10_143, 50117, "MON", 400, False,
        **_USUAL,
        pyth_pro="0xFC6bd9F9f0c6481c6Af3A7Eb46b296A5B85ed379",
        wormhole_pro="0xF8b6a7fD411Fff41443980b312C2bAb3A0DCaaf5",
        entropy="0x825c0390f379C631f3Cf11A82a37D20BddF93c07",
        lazer=_LAZER,
        executor="0x4374e5a8b9C22271E9EB878A2AA31DE97DF15DAF",
    ),
)
# fmt: on


@cache
def _chains() -> dict[str | int, EvmChain]:
    """By name and by EVM chain id."""
    found: dict[str | int, EvmChain] = {}
    for row in _ROWS:
        chain = EvmChain(row.name, row.chain_id, row.wormhole_id, row.native_symbol, row.block_time_ms, row.mainnet)
        found[row.name] = found[row.chain_id] = chain
    return found


@cache
def _contracts() -> dict[tuple[int, Address], DeployedContract]:
    found: dict[tuple[int, Address], DeployedContract] = {}
    for row in _ROWS:
        chain = _chains()[row.name]
        for kind, deployment, text in (
            (ContractKind.PYTH, Deployment.STABLE, row.pyth),
            (ContractKind.PYTH, Deployment.PRO, row.pyth_pro),
            (ContractKind.WORMHOLE, Deployment.STABLE, row.wormhole),
            (ContractKind.WORMHOLE, Deployment.PRO, row.wormhole_pro),
            (ContractKind.ENTROPY, Deployment.STABLE, row.entropy),
            (ContractKind.LAZER, Deployment.STABLE, row.lazer),
            (ContractKind.EXECUTOR, Deployment.STABLE, row.executor),
        ):
            for one in text.split():
                address = Address(one)
                found[chain.chain_id, address] = DeployedContract(chain, address, kind, deployment)
    return found


def chains() -> tuple[EvmChain, ...]:
    """All known chains."""
    return tuple(dict.fromkeys(_chains().values()))


def chain(name_or_id: str | int) -> EvmChain | None:
    """A chain by its name in Pyth's store or by its EVM chain id; ``None`` where it is not known."""
    return _chains().get(name_or_id)


def contract_at(chain_id: int, address: str | bytes) -> DeployedContract | None:
    """What is known to stand at an address of a chain (by EVM chain id). Raises ``ValueError`` for what is no address."""
    return _contracts().get((chain_id, Address(address)))


def contracts(
    chain_id: int | None = None, kind: ContractKind | None = None, deployment: Deployment | None = None
) -> tuple[DeployedContract, ...]:
    """All known contracts, or those of a chain, kind or deployment."""
    return tuple(
        one
        for one in _contracts().values()
        if chain_id in (None, one.chain.chain_id) and kind in (None, one.kind) and deployment in (None, one.deployment)
    )
