"""The real trusted sets, emitters and endpoints: data, each with its source, replaceable by the caller.

Core sets: each set after the first is installed by a governance VAA signed by a quorum of the set before; the chain from the
genesis guardian to set 7 was checked signature by signature (``tests/vectors/test_trust_vectors.py`` repeats it). Sources:
Wormhole governance VAAs as stored by pyth-crosschain ``contract_manager``. Pro sets: pyth-crosschain
``contract_manager/src/core/base.ts`` (set 0) and ``contract_manager/src/store/guardian_sets`` (set 1). Emitters: the same
repository's ``contract_manager`` and real updates of both roots.

When a set was superseded is not known here (each chain installs an upgrade in its own time): such sets are refused in live use
and accepted by replay. ``Trust.upgraded`` gives a known time to an upgrade that the caller saw.
"""

from __future__ import annotations

from typing import Final

from probekit.model import TrustRoot
from probekit.trust.sets import Emitter, SignerSet, Trust

_CORE: Final = (
    SignerSet.of(
        TrustRoot.CORE,
        0,
        "0x58cc3ae5c097b213ce3c81979e1b9f9570746aa5",
    ),
    SignerSet.of(
        TrustRoot.CORE,
        1,
        "0x58cc3ae5c097b213ce3c81979e1b9f9570746aa5",
        "0xff6cb952589bde862c25ef4392132fb9d4a42157",
        "0x114de8460193bdf3a2fcf81f86a09765f4762fd1",
        "0x107a0086b32d7a0977926a205131d8731d39cbeb",
        "0x8c82b2fd82faed2711d59af0f2499d16e726f6b2",
        "0x11b39756c042441be6d8650b69b54ebe715e2343",
        "0x54ce5b4d348fb74b958e8966e2ec3dbd4958a7cd",
        "0xeb5f7389fa26941519f0863349c223b73a6ddee7",
        "0x74a3bf913953d695260d88bc1aa25a4eee363ef0",
        "0x000ac0076727b35fbea2dac28fee5ccb0fea768e",
        "0xaf45ced136b9d9e24903464ae889f5c8a723fc14",
        "0xf93124b7c738843cbb89e864c862c38cddcccf95",
        "0xd2cc37a4dc036a8d232b48f62cdd4731412f4890",
        "0xda798f6896a3331f64b48c12d1d57fd9cbe70811",
        "0x71aa1be1d36cafe3867910f99c09e347899c19c3",
        "0x8192b6e7387ccd768277c17dab1b7a5027c0b3cf",
        "0x178e21ad2e77ae06711549cfbb1f9c7a9d8096e8",
        "0x5e1487f35515d02a92753504a8d75471b9f49edb",
        "0x6fbebc898f403e4773e95feb15e80c9a99c8348d",
    ),
    SignerSet.of(
        TrustRoot.CORE,
        2,
        "0x58cc3ae5c097b213ce3c81979e1b9f9570746aa5",
        "0xff6cb952589bde862c25ef4392132fb9d4a42157",
        "0x114de8460193bdf3a2fcf81f86a09765f4762fd1",
        "0x107a0086b32d7a0977926a205131d8731d39cbeb",
        "0x8c82b2fd82faed2711d59af0f2499d16e726f6b2",
        "0x11b39756c042441be6d8650b69b54ebe715e2343",
        "0x54ce5b4d348fb74b958e8966e2ec3dbd4958a7cd",
        "0x66b9590e1c41e0b226937bf9217d1d67fd4e91f5",
        "0x74a3bf913953d695260d88bc1aa25a4eee363ef0",
        "0x000ac0076727b35fbea2dac28fee5ccb0fea768e",
        "0xaf45ced136b9d9e24903464ae889f5c8a723fc14",
        "0xf93124b7c738843cbb89e864c862c38cddcccf95",
        "0xd2cc37a4dc036a8d232b48f62cdd4731412f4890",
        "0xda798f6896a3331f64b48c12d1d57fd9cbe70811",
        "0x71aa1be1d36cafe3867910f99c09e347899c19c3",
        "0x8192b6e7387ccd768277c17dab1b7a5027c0b3cf",
        "0x178e21ad2e77ae06711549cfbb1f9c7a9d8096e8",
        "0x5e1487f35515d02a92753504a8d75471b9f49edb",
        "0x6fbebc898f403e4773e95feb15e80c9a99c8348d",
    ),
    SignerSet.of(
        TrustRoot.CORE,
        3,
        "0x58cc3ae5c097b213ce3c81979e1b9f9570746aa5",
        "0xff6cb952589bde862c25ef4392132fb9d4a42157",
        "0x114de8460193bdf3a2fcf81f86a09765f4762fd1",
        "0x107a0086b32d7a0977926a205131d8731d39cbeb",
        "0x8c82b2fd82faed2711d59af0f2499d16e726f6b2",
        "0x11b39756c042441be6d8650b69b54ebe715e2343",
        "0x54ce5b4d348fb74b958e8966e2ec3dbd4958a7cd",
        "0x15e7caf07c4e3dc8e7c469f92c8cd88fb8005a20",
        "0x74a3bf913953d695260d88bc1aa25a4eee363ef0",
        "0x000ac0076727b35fbea2dac28fee5ccb0fea768e",
        "0xaf45ced136b9d9e24903464ae889f5c8a723fc14",
        "0xf93124b7c738843cbb89e864c862c38cddcccf95",
        "0xd2cc37a4dc036a8d232b48f62cdd4731412f4890",
        "0xda798f6896a3331f64b48c12d1d57fd9cbe70811",
        "0x71aa1be1d36cafe3867910f99c09e347899c19c3",
        "0x8192b6e7387ccd768277c17dab1b7a5027c0b3cf",
        "0x178e21ad2e77ae06711549cfbb1f9c7a9d8096e8",
        "0x5e1487f35515d02a92753504a8d75471b9f49edb",
        "0x6fbebc898f403e4773e95feb15e80c9a99c8348d",
    ),
    SignerSet.of(
        TrustRoot.CORE,
        4,
        "0x5893b5a76c3f739645648885bdccc06cd70a3cd3",
        "0xff6cb952589bde862c25ef4392132fb9d4a42157",
        "0x114de8460193bdf3a2fcf81f86a09765f4762fd1",
        "0x107a0086b32d7a0977926a205131d8731d39cbeb",
        "0x8c82b2fd82faed2711d59af0f2499d16e726f6b2",
        "0x11b39756c042441be6d8650b69b54ebe715e2343",
        "0x54ce5b4d348fb74b958e8966e2ec3dbd4958a7cd",
        "0x15e7caf07c4e3dc8e7c469f92c8cd88fb8005a20",
        "0x74a3bf913953d695260d88bc1aa25a4eee363ef0",
        "0x000ac0076727b35fbea2dac28fee5ccb0fea768e",
        "0xaf45ced136b9d9e24903464ae889f5c8a723fc14",
        "0xf93124b7c738843cbb89e864c862c38cddcccf95",
        "0xd2cc37a4dc036a8d232b48f62cdd4731412f4890",
        "0xda798f6896a3331f64b48c12d1d57fd9cbe70811",
        "0x71aa1be1d36cafe3867910f99c09e347899c19c3",
        "0x8192b6e7387ccd768277c17dab1b7a5027c0b3cf",
        "0x178e21ad2e77ae06711549cfbb1f9c7a9d8096e8",
        "0x5e1487f35515d02a92753504a8d75471b9f49edb",
        "0x6fbebc898f403e4773e95feb15e80c9a99c8348d",
    ),
    SignerSet.of(
        TrustRoot.CORE,
        5,
        "0x5893b5a76c3f739645648885bdccc06cd70a3cd3",
        "0xff6cb952589bde862c25ef4392132fb9d4a42157",
        "0x114de8460193bdf3a2fcf81f86a09765f4762fd1",
        "0x107a0086b32d7a0977926a205131d8731d39cbeb",
        "0x8c82b2fd82faed2711d59af0f2499d16e726f6b2",
        "0x11b39756c042441be6d8650b69b54ebe715e2343",
        "0x938f104aeb5581293216ce97d771e0cb721221b1",
        "0x15e7caf07c4e3dc8e7c469f92c8cd88fb8005a20",
        "0x74a3bf913953d695260d88bc1aa25a4eee363ef0",
        "0x000ac0076727b35fbea2dac28fee5ccb0fea768e",
        "0xaf45ced136b9d9e24903464ae889f5c8a723fc14",
        "0xf93124b7c738843cbb89e864c862c38cddcccf95",
        "0xd2cc37a4dc036a8d232b48f62cdd4731412f4890",
        "0xda798f6896a3331f64b48c12d1d57fd9cbe70811",
        "0xd1f64e26238811de5553c40f64af41ee1b6057cc",
        "0x43ac8f567a31e7850da532b361988bfe0d3ae11b",
        "0x178e21ad2e77ae06711549cfbb1f9c7a9d8096e8",
        "0x5e1487f35515d02a92753504a8d75471b9f49edb",
        "0x6fbebc898f403e4773e95feb15e80c9a99c8348d",
    ),
    SignerSet.of(
        TrustRoot.CORE,
        6,
        "0x5893b5a76c3f739645648885bdccc06cd70a3cd3",
        "0xff6cb952589bde862c25ef4392132fb9d4a42157",
        "0x114de8460193bdf3a2fcf81f86a09765f4762fd1",
        "0x107a0086b32d7a0977926a205131d8731d39cbeb",
        "0x8c82b2fd82faed2711d59af0f2499d16e726f6b2",
        "0x42579bffbcf4276e290ab8e4c162bd4052b97970",
        "0x938f104aeb5581293216ce97d771e0cb721221b1",
        "0x18e41674ccf26329cd111406c1d05c6c80b23edc",
        "0x9d16870160e703324d057c3361c34c5befba2c34",
        "0x000ac0076727b35fbea2dac28fee5ccb0fea768e",
        "0xaf45ced136b9d9e24903464ae889f5c8a723fc14",
        "0xf93124b7c738843cbb89e864c862c38cddcccf95",
        "0xd2cc37a4dc036a8d232b48f62cdd4731412f4890",
        "0xda798f6896a3331f64b48c12d1d57fd9cbe70811",
        "0xd1f64e26238811de5553c40f64af41ee1b6057cc",
        "0x3f851ad586a47cef8d04748f33ab0d71395f06b4",
        "0x178e21ad2e77ae06711549cfbb1f9c7a9d8096e8",
        "0x7899ceab1dc961dae9defdb7a4f521269a5448fc",
        "0x6fbebc898f403e4773e95feb15e80c9a99c8348d",
    ),
    SignerSet.of(
        TrustRoot.CORE,
        7,
        "0x5893b5a76c3f739645648885bdccc06cd70a3cd3",
        "0xff6cb952589bde862c25ef4392132fb9d4a42157",
        "0x114de8460193bdf3a2fcf81f86a09765f4762fd1",
        "0x107a0086b32d7a0977926a205131d8731d39cbeb",
        "0x8c82b2fd82faed2711d59af0f2499d16e726f6b2",
        "0x42579bffbcf4276e290ab8e4c162bd4052b97970",
        "0x938f104aeb5581293216ce97d771e0cb721221b1",
        "0xf3ea0ad4ffb5a178ae4ebc21861651b25bdcbb91",
        "0x9d16870160e703324d057c3361c34c5befba2c34",
        "0x000ac0076727b35fbea2dac28fee5ccb0fea768e",
        "0xaf45ced136b9d9e24903464ae889f5c8a723fc14",
        "0xf93124b7c738843cbb89e864c862c38cddcccf95",
        "0xd2cc37a4dc036a8d232b48f62cdd4731412f4890",
        "0xda798f6896a3331f64b48c12d1d57fd9cbe70811",
        "0xae565927bb8db25cd8bf3e7bb663d70023e4ea78",
        "0x3f851ad586a47cef8d04748f33ab0d71395f06b4",
        "0x178e21ad2e77ae06711549cfbb1f9c7a9d8096e8",
        "0x7899ceab1dc961dae9defdb7a4f521269a5448fc",
        "0x61d9800f9fcb4160fb0c6cf3a0902592bac2b434",
    ),
)

_PRO: Final = (
    SignerSet.of(
        TrustRoot.PRO,
        0,
        "0x41534bb176e461a3fb30479400f210549ecce638",
        "0x6502987b62f21cab7eb5ccd8f0173084b60d5b41",
        "0x44a3e8f6a382412cf6bb90a3f8106e68977476c9",
        "0xd9d7d4529577864352c9a6539a48238fcd447052",
        "0x1663a5a822336ece48559b1dfb1e93a017a7dac3",
    ),
    SignerSet.of(
        TrustRoot.PRO,
        1,
        "0x41534bb176e461a3fb30479400f210549ecce638",
        "0x6502987b62f21cab7eb5ccd8f0173084b60d5b41",
        "0x44a3e8f6a382412cf6bb90a3f8106e68977476c9",
        "0x13edc776d3063549fdb0702af182edc905a539d4",
        "0x3af088854bb768065f4929e5bbdfa4cbb04c9af9",
    ),
)

_PRO_STAGING: Final = (
    SignerSet.of(
        TrustRoot.PRO,
        0,
        "0xdcd37a16f42a7ddd377046c3d607e7227c1ef459",
        "0x1098b22a55202594341052605228e3d896132f6a",
        "0xff3b3ab7e07314359bd2469c2b1591478e398124",
    ),
    SignerSet.of(
        TrustRoot.PRO,
        1,
        "0xdcd37a16f42a7ddd377046c3d607e7227c1ef459",
        "0x1098b22a55202594341052605228e3d896132f6a",
        "0x5c80fbab4a56468ba48b97ff313fcaa96aba71f3",
    ),
)

_BETA: Final = (SignerSet.of(TrustRoot.CORE, 0, "0x13947bd48b18e53fdaeee77f3473391ac727c638"),)

CORE_EMITTER: Final = Emitter(
    TrustRoot.CORE, 26, bytes.fromhex("e101faedac5851e32b9b23b5f9411a8c2bac4aae3ed4dd7b811dd1a72ea4aa71")
)
PRO_EMITTER: Final = Emitter(TrustRoot.PRO, 26, b"PythnetPythnetPythnetPythnetPyth")
EMITTERS: Final = (CORE_EMITTER, PRO_EMITTER)

MAINNET: Final = Trust(_CORE + _PRO, EMITTERS)
"""Both roots of the main network."""
CORE: Final = MAINNET.only(TrustRoot.CORE)
"""The Wormhole guardians alone."""
PRO: Final = MAINNET.only(TrustRoot.PRO)
"""The Pyth Pro routers alone: what the main network's Hermes has served since the cutover of 2026-08-26."""
PRO_STAGING: Final = Trust(_PRO_STAGING, EMITTERS)
BETA: Final = Trust(_BETA, EMITTERS)
"""The beta network's single guardian."""

HERMES_MAINNET: Final = ("https://hermes.pyth.network", "https://pyth.dourolabs.app/hermes")
"""Public Hermes; wants an API key since the cutover. Source: Pyth's developer documentation."""
HERMES_BETA: Final = ("https://hermes-beta.pyth.network",)
