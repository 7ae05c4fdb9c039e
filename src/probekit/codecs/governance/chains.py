"""Names of the chains that governance messages are for: data, by Pyth's numbers. A chain that is not here still has its number.

Sources: pyth-crosschain ``governance/xc_admin/packages/xc_admin_common/src/chains.ts`` at 7c915eb10 (2026-07-23), whose names
win over those of ``@certusone/wormhole-sdk`` 0.10.18 as they do there: a chain that Pyth numbers anew (neon, gnosis, osmosis,
...) no longer has Wormhole's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# fmt: off
_WORMHOLE: Final = {
    "solana": 1, "terra": 3, "oasis": 7, "algorand": 8, "karura": 11, "acala": 12, "klaytn": 13, "near": 15, "moonbeam": 16,
    "terra2": 18, "sui": 21, "aptos": 22, "pythnet": 26, "xpla": 28, "btc": 29, "base": 30, "sei": 32, "rootstock": 33,
    "xlayer": 37, "berachain": 39, "seievm": 40, "snaxchain": 43, "wormchain": 3104, "cosmoshub": 4000, "kujira": 4002,
    "celestia": 4004, "stargaze": 4005, "seda": 4006, "dymension": 4007, "provenance": 4008, "holesky": 10006,
    "polygon_sepolia": 10007,
}
_PYTH: Final = {
    "unset": 0, "ethereum": 2, "bsc": 4, "polygon": 5, "avalanche": 6, "aurora": 9, "fantom": 10, "celo": 14, "injective": 19,
    "arbitrum": 23, "optimism": 24, "eclipse_devnet": 40001, "eclipse_testnet": 40002, "eclipse_mainnet": 40003,
    "mantis_testnet": 40004, "sonic_devnet": 40005, "sonic_testnet": 40006, "atlas_testnet": 40007, "mantis_mainnet": 40008,
    "sonic_mainnet": 40009, "fogo_testnet": 40010, "fogo_mainnet": 40011, "linea_goerli": 50001, "fuji": 50002,
    "base_goerli": 50003, "cronos_testnet": 50004, "zksync_goerli": 50005, "canto_testnet": 50006,
    "polygon_zkevm_testnet": 50007, "aurora_testnet": 50008, "mantle_sepolia": 50009, "fantom_testnet": 50010, "mumbai": 50011,
    "neon_devnet": 50012, "chiado": 50013, "kava_testnet": 50014, "evmos_testnet": 50015, "bsc_testnet": 50016,
    "conflux_espace_testnet": 50017, "optimism_goerli": 50018, "wemix_testnet": 50019, "celo_alfajores_testnet": 50020,
    "syndr_nitro_testnet": 50021, "kcc_testnet": 50022, "eos_testnet": 50023, "meter_testnet": 50024, "shimmer_testnet": 50025,
    "scroll_sepolia": 50026, "saigon": 50027, "horizen_gobi": 50028, "sepolia": 50029, "arbitrum_sepolia": 50030,
    "boba_goerli": 50031, "manta_testnet": 50032, "optimism_sepolia": 50033, "chiliz_spicy": 50034, "zetachain_testnet": 50035,
    "astar_zkevm_testnet": 50036, "coredao_testnet": 50037, "viction_testnet": 50038, "stacks_testnet": 50039,
    "mode_testnet": 50040, "bttc_testnet": 50041, "zksync_sepolia": 50042, "base_sepolia": 50043, "movement_evm_devnet": 50044,
    "movement_m1_devnet": 50045, "zkfair_testnet": 50046, "blast_s2_testnet": 50047, "hedera_testnet": 50048,
    "filecoin_calibration": 50049, "lightlink_pegasus_testnet": 50050, "fantom_sonic_testnet": 50052,
    "dela_deperp_testnet": 50053, "injective_inevm_testnet": 50054, "idex_xchain_testnet": 50055, "berachain_testnet": 50056,
    "merlin_testnet": 50057, "manta_sepolia": 50058, "polygon_blackberry": 50059, "arbitrum_blueberry": 50060,
    "optimism_celestia_raspberry": 50061, "parallel_testnet": 50062, "polynomial_testnet": 50063, "linea_sepolia": 50064,
    "rol_testnet": 50065, "morph_testnet": 50066, "sei_evm_devnet": 50067, "boba_sepolia": 50068, "astar_zkyoto_testnet": 50069,
    "xion_testnet": 50070, "taiko_hekla": 50071, "olive_testnet": 50072, "orange_testnet": 50073, "polygon_amoy": 50074,
    "starknet_sepolia": 50075, "movement_m2_devnet": 50076, "taiko_mainnet": 50077, "sei_evm_mainnet": 50078,
    "kakarot_sepolia": 50079, "dela_mithreum_deperp_testnet": 50080, "berachain_testnet_v2": 50081, "opbnb_testnet": 50082,
    "etherlink_testnet": 50083, "fuel_testnet": 50084, "sei_evm_testnet": 50085, "kaia_testnet": 50086,
    "morph_holesky_testnet": 50087, "tabi_testnet": 50088, "movement_suzuka_testnet": 50089, "b3_testnet": 50090,
    "cronos_zkevm_testnet": 50091, "reya_testnet": 50092, "movement_evm_devnet_imola": 50093, "flow_testnet": 50094,
    "apechain_testnet": 50095, "soneium_minato_testnet": 50096, "nighthawk": 50097, "unichain_sepolia": 50099,
    "abstract_testnet": 50100, "sanko_testnet": 50101, "skate_testnet": 50102, "movement_porto_testnet": 50103,
    "ton_testnet": 50104, "kraken_ink_testnet": 50105, "ethena_testnet": 50106, "superseed_testnet": 50107,
    "happy_bird_song_ends_with_tio": 50108, "hyperevm_testnet": 50109, "eventum_testnet": 50110, "sonic_blaze_testnet": 50111,
    "movement_bardock_testnet": 50112, "story_testnet": 50113, "coredao_testnet_v2": 50114, "bittensor_testnet": 50115,
    "monad_devnet": 50116, "monad_testnet": 50117, "iota_sui_testnet": 50118, "berachain_bepolia": 50119,
    "megaeth_testnet": 50120, "converge_testnet": 50121, "swellchain_testnet": 50122, "worldchain_testnet": 50123,
    "mezo_testnet": 50124, "hemi_testnet": 50125, "injective_evm_testnet": 50126, "ethereal_testnet": 50127,
    "ethereal_devnet": 50128, "ethereal_testnet_v2": 50129, "fluent_testnet": 50130, "giwa_testnet": 50131,
    "sonic_evm_testnet": 50132, "etherlink_new_testnet": 50133, "hoodi": 50134, "taiko_hoodi": 50135, "morph_hoodi": 50136,
    "celo_sepolia_testnet": 50137, "arc_testnet": 50138, "tempo_testnet": 50139, "stellar_testnet": 50140,
    "robinhood_testnet": 50141, "cronos": 60001, "kcc": 60002, "zksync": 60003, "shimmer": 60004, "gnosis": 60005,
    "evmos": 60006, "neon": 60007, "polygon_zkevm": 60008, "canto": 60009, "meter": 60010, "mantle": 60011,
    "conflux_espace": 60012, "injective_testnet": 60013, "osmosis": 60014, "osmosis_testnet_4": 60015,
    "osmosis_testnet_5": 60016, "sei_pacific_1": 60017, "sei_testnet_atlantic_2": 60018, "neutron": 60019, "juno": 60020,
    "juno_testnet": 60021, "kava": 60022, "wemix": 60023, "linea": 60024, "neutron_testnet_pion_1": 60025, "eos": 60026,
    "syndr": 60027, "scroll": 60028, "ronin": 60029, "horizen_eon": 60030, "boba": 60031, "manta": 60032, "chiliz": 60033,
    "zetachain": 60034, "astar_zkevm": 60035, "coredao": 60036, "viction": 60037, "stacks": 60038, "mode": 60039, "bttc": 60040,
    "zkfair": 60041, "hedera": 60042, "filecoin": 60043, "lightlink_phoenix": 60044, "injective_inevm": 60045, "blast": 60046,
    "merlin": 60047, "parallel": 60048, "iota": 60049, "flow_previewnet": 60050, "starknet": 60051, "opbnb": 60052,
    "gravity": 60053, "polynomial": 60054, "etherlink": 60055, "kaia": 60056, "kinto": 60057, "b3_mainnet": 60058,
    "cronos_zkevm_mainnet": 60059, "idex_xchain_mainnet": 60060, "apechain_mainnet": 60061, "flow_mainnet": 60062,
    "sanko": 60063, "skate": 60064, "morph": 60065, "superseed_mainnet": 60066, "fuel_mainnet": 60067, "hemi_mainnet": 60068,
    "ton_mainnet": 60069, "unichain": 60070, "abstract": 60071, "fantom_sonic_mainnet": 60072, "eventum_mainnet": 60073,
    "soneium": 60074, "kraken_ink_mainnet": 60075, "berachain_mainnet": 60076, "movement_mainnet": 60077, "story": 60078,
    "hyperevm": 60079, "bittensor_mainnet": 60080, "xion": 60081, "worldchain": 60082, "swellchain": 60083, "mezo": 60084,
    "iota_sui_mainnet": 60085, "camp_network": 60086, "monad": 60087, "zero_gravity": 60088, "itsnotreal": 60089,
    "plasma": 60090, "ethereal": 60091, "injective_evm": 60092, "orange": 60093, "tempo": 60094, "megaeth": 60095,
    "fluent": 60096, "cardano_mainnet": 60097, "cardano_preprod": 60098, "cardano_preview": 60099, "stellar_mainnet": 60100,
    "robinhood": 60101,
}
# fmt: on

CHAIN_IDS: Final[Mapping[str, int]] = _WORMHOLE | _PYTH
_NAMES: Final = {number: name for name, number in CHAIN_IDS.items()}


def chain_name(number: int) -> str | None:
    """What governance calls a chain; ``unset`` for 0, every chain. ``None`` where no source names it."""
    return _NAMES.get(number)


def chain_label(number: int) -> str:
    """For people: ``base (30)``, ``every chain (0)``, ``chain 65535``."""
    if number == 0:
        return "every chain (0)"
    name = _NAMES.get(number)
    return f"chain {number}" if name is None else f"{name} ({number})"
