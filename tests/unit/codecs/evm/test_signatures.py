"""Every selector, topic and slot, as published; what is computed here must come out the same."""

from __future__ import annotations

import pytest
from eth_utils.crypto import keccak

from probekit.codecs.evm import eip1967, entropy, entropy_events, erc20, multicall, pyth, pyth_events, reverts, wormhole
from probekit.codecs.evm.contract import Event, Function, selector

PYTH = {
    "getPriceUnsafe(bytes32)": "96834ad3",
    "getPriceNoOlderThan(bytes32,uint256)": "a4ae35e0",
    "getEmaPriceUnsafe(bytes32)": "9474f45b",
    "getEmaPriceNoOlderThan(bytes32,uint256)": "711a2e28",
    "getPrice(bytes32)": "31d98b3f",
    "getEmaPrice(bytes32)": "b5dcc911",
    "queryPriceFeed(bytes32)": "caaf43f1",
    "priceFeedExists(bytes32)": "b5ec0261",
    "latestPriceInfoPublishTime(bytes32)": "4c469d8c",
    "getValidTimePeriod()": "e18910a3",
    "validTimePeriodSeconds()": "cb718a9b",
    "getUpdateFee(bytes[])": "d47eed45",
    "getUpdateFee(uint256)": "e17efd48",
    "getTwapUpdateFee(bytes[])": "5f674e35",
    "singleUpdateFeeInWei()": "48b6404d",
    "transactionFeeInWei()": "978a800d",
    "updatePriceFeeds(bytes[])": "ef9e5e28",
    "updatePriceFeedsIfNecessary(bytes[],bytes32[],uint64[])": "b9256d28",
    "parsePriceFeedUpdates(bytes[],bytes32[],uint64,uint64)": "4716e9c5",
    "parsePriceFeedUpdatesUnique(bytes[],bytes32[],uint64,uint64)": "accca7f9",
    "parsePriceFeedUpdatesWithConfig(bytes[],bytes32[],uint64,uint64,bool,bool,bool)": "3a229d18",
    "parseTwapPriceFeedUpdates(bytes[],bytes32[])": "eb942158",
    "wormhole()": "84acd1bb",
    "chainId()": "9a8a0592",
    "validDataSources()": "a38d81c6",
    "isValidDataSource(uint16,bytes32)": "437209a7",
    "hashDataSource((uint16,bytes32))": "89a5bb4d",
    "governanceDataSource()": "426234e4",
    "isValidGovernanceDataSource(uint16,bytes32)": "58c67635",
    "governanceDataSourceIndex()": "6c72f51b",
    "lastExecutedGovernanceSequence()": "586d3cf8",
    "executeGovernanceInstruction(bytes)": "b6ed701e",
    "parseGovernanceInstruction(bytes)": "6b7f53ca",
    "pythUpgradableMagic()": "e3795cc1",
    "version()": "54fd4d50",
    "owner()": "8da5cb5b",
    "proxiableUUID()": "52d1902d",
    "decimals()": "313ce567",
    "latestRoundData()": "feaf968c",
    "latestTimestamp()": "8205bf6a",
}
VM = "(uint8,uint32,uint32,uint16,bytes32,uint64,uint8,bytes,uint32,(bytes32,bytes32,uint8,uint8)[],bytes32)"
WORMHOLE = {
    "getCurrentGuardianSetIndex()": "1cfe7951",
    "getGuardianSet(uint32)": "f951975a",
    "getGuardianSetExpiry()": "eb8d3f12",
    "chainId()": "9a8a0592",
    "governanceChainId()": "fbe3c2cd",
    "governanceContract()": "b172b222",
    "governanceActionIsConsumed(bytes32)": "2c3c02a4",
    "isInitialized(address)": "d60b347f",
    "parseAndVerifyVM(bytes)": "c0fd8bde",
    f"verifyVM({VM})": "875be02a",
    "submitNewGuardianSet(bytes)": "6606b4e0",
    "messageFee()": "1a90a219",
}
MULTICALL = {
    "aggregate3((address,bool,bytes)[])": "82ad56cb",
    "tryBlockAndAggregate(bool,(address,bytes)[])": "399542e9",
    "getBlockNumber()": "42cbb15c",
    "getCurrentBlockTimestamp()": "0f28c97d",
    "getChainId()": "3408e470",
    "getBasefee()": "3e64a696",
    "getEthBalance(address)": "4d2301cc",
}
ERC20 = {
    "balanceOf(address)": "70a08231",
    "allowance(address,address)": "dd62ed3e",
    "totalSupply()": "18160ddd",
    "decimals()": "313ce567",
    "symbol()": "95d89b41",
    "name()": "06fdde03",
}
BEACON = {"implementation()": "5c60da1b"}
ENTROPY = {
    "getDefaultProvider()": "82ee990c",
    "getFee(address)": "b88c9148",
    "getFeeV2()": "8204b67a",
    "getFeeV2(uint32)": "ca1642e1",
    "getFeeV2(address,uint32)": "7ab2ac36",
    "getPythFee()": "7e0020af",
    "getAccruedPythFees()": "c970835c",
    "getProviderInfo(address)": "7583902f",
    "getProviderInfoV2(address)": "2f9b787b",
    "getRequest(address,uint64)": "6151ab1f",
    "getRequestV2(address,uint64)": "754a3600",
    "requestV2()": "7b43155d",
    "requestV2(uint32)": "0bed189f",
    "requestV2(address,uint32)": "0e33da29",
    "requestV2(address,bytes32,uint32)": "f77b45e1",
    "requestWithCallback(address,bytes32)": "19cb825f",
    "request(address,bytes32,bool)": "93cbf217",
    "revealWithCallback(address,uint64,bytes32,bytes32)": "3d30bc0e",
    "reveal(address,uint64,bytes32,bytes32)": "9371df51",
    "_entropyCallback(uint64,address,bytes32)": "52a5f1f8",
    "version()": "54fd4d50",
    "getAdmin()": "6e9960c3",
    "proposedAdmin()": "32f751ec",
    "owner()": "8da5cb5b",
}
ERRORS = {
    "PriceFeedNotFound": "14aebe68",
    "StalePrice": "19abf40e",
    "InsufficientFee": "025dbdd4",
    "NoFreshUpdate": "de2c57fa",
    "InvalidUpdateData": "e69ffece",
    "InvalidUpdateDataSource": "e60dce71",
    "InvalidWormholeVaa": "2acbe915",
    "PriceFeedNotFoundWithinRange": "45805f5d",
    "InvalidArgument": "a9cb9e0d",
    "InvalidTwapUpdateData": "1dbbd294",
    "InvalidTwapUpdateDataSet": "196224b0",
    "InvalidGovernanceMessage": "97363b35",
    "InvalidGovernanceTarget": "63daeb77",
    "InvalidGovernanceDataSource": "360f2d87",
    "OldGovernanceMessage": "88d1b847",
    "InvalidWormholeAddressToSet": "13d3ed82",
    "NegativeInputPrice": "4db089c0",
    "InvalidInputExpo": "6a345a28",
    "CombinedPriceOverflow": "30442cd8",
    "ExponentOverflow": "96c1d04c",
    "VmVersionIncompatible": "6ce2251a",
    "SignatureIndexesNotAscending": "9ad79794",
}
ENTROPY_ERRORS = {
    "NoSuchProvider": "df51c431",
    "NoSuchRequest": "c4237352",
    "OutOfRandomness": "3e515085",
    "InsufficientFee": "025dbdd4",
    "IncorrectRevelation": "b8be1a8d",
    "Unauthorized": "82b42900",
    "BlockhashUnavailable": "92555c0e",
    "InvalidRevealCall": "50f0dc92",
    "LastRevealedTooOld": "b28d9c76",
    "UpdateTooOld": "5e5b3f1b",
    "InsufficientGas": "1c26714c",
    "MaxGasLimitExceeded": "9376b93b",
    "AssertionFailure": "d82dd966",
    "ProviderAlreadyRegistered": "da041bdf",
    "InvalidUpgradeMagic": "b463ce7a",
    # Published with older contracts, without its selector: that of another keccak.
    "InvalidTransferCall": keccak(text="InvalidTransferCall()").hex()[:8],
}
ENTROPY_TOPICS = {
    "REQUESTED_V2": "209bbfee3369097c31c36ce42994bdcac394866c881f603fb6296f240d6c37db",
    "REVEALED_V2": "2231996cc9de260d163cd345089fea7819252b40215c738556aa144a0a11ed47",
    "REQUESTED_WITH_CALLBACK_V1": "a4c85ab66677ced5caabbbba151714887944b9e0fee05f320e42a1b13a01fbc6",
    "REVEALED_WITH_CALLBACK_V1": "40be225f151772416d8785647e5641a0b53507623d0ee3fb88802b7d6bdbf728",
    "CALLBACK_FAILED_V1": "c73c4cbf6f2bace8893b1283ee0e044c059ef9b80765820f4cc22b5ace139b5b",
    "REQUESTED_V1": "20e2c2fc72b2cb9fbae9d7d8fd4bdf5bdcc4579043e1e9854e2baf045b6a31d3",
    "REVEALED_V1": "39c729f66b0c8aa543d92bc83fb7e0914c9701326b96365b593f28ba706976e4",
    "REGISTERED_V2": "b5ca2dfb0bd25603299b76fefa9fbe3abdc9f951bdfb7ffd208f93ab7f8e203c",
    "FEE_UPDATED_V2": "2b876e4a8eb641937e15aa02b7b90d376ce4661b51337661d76d330d23aed536",
    "GAS_LIMIT_UPDATED_V2": "92ec5e11b09fd199655525004a1861acf5dd00f3a672ea8c750ec8bbf7ef6190",
    "URI_UPDATED_V2": "61e70b9f3f2fcdff8071ea3b7dba108a38e7c1e59d0d9ddf60462a6c4cee85ea",
    "PYTH_FEE_SET": "b73e06a6ae37bdd616d5087ef40ccc7ca25ea84e7cfa93dbf9a2815e2cdde674",
    "DEFAULT_PROVIDER_SET": "3db81271b05fbf6a656114a99415fdfd27fadb1a34c9a139eb029fba4f6dfdb0",
}
"""Of the rest no published topic is at hand; theirs is checked by another keccak of the signature in the source."""
TOPICS = {
    "PriceFeedUpdate": "d06a6b7f4918494b3719217d1802786c1f5112a6c1d88fe2cfec00b4584f6aec",
    "BatchPriceFeedUpdate": "943f0e8a16c19895fb87cbeb1a349ed86d7f31923089dd36c1a1ed5e300f267b",
    "TwapPriceFeedUpdate": "d8b7774079faf4ab389d4e48b46d54e2bb8b66dd0de0d718f61730a9f3c92977",
    "ContractUpgraded": "2e4cc16c100f0b55e2df82ab0b1a7e294aa9cbd01b48fbaf622683fbc0507a49",
    "Upgraded": "bc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b",
    "GovernanceDataSourceSet": "6bce23ef3d34e51710fe4700b43ba5f1733a6215c883f384671a4ece3ea8aa20",
    "DataSourcesSet": "d451e0fcb7c5b9e13de533604d158069dad159841c45f39f09d379bfc423080d",
    "FeeSet": "74dbbbe280ef27b79a8a0c449d5ae2ba7a31849103241d0f98df70bbc9d03e37",
    "ValidPeriodSet": "cdb88a22f82ddd76115ab7c66cf08eb1e40afe80c9b31017eb2cbdb1570b33ae",
    "WormholeAddressSet": "d495c4e5b386d59bccca38a2277b5d70a0f5e47d7b6587a45a6f5aca221a3125",
    "TransactionFeeSet": "5ac11e113c4b7116e6d04c95bd9f5ec9109fc1199331c882f5a0b63c9b33ac2b",
    "FeeWithdrawn": "78473f3f373f7673597f4f0fa5873cb4d375fea6d4339ad6b56dbd411513cb3f",
    "OwnershipTransferred": "8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e0",
}


@pytest.mark.parametrize(
    ("module", "published"),
    [(pyth, PYTH), (wormhole, WORMHOLE), (multicall, MULTICALL), (erc20, ERC20), (eip1967, BEACON), (entropy, ENTROPY)],
    ids=["pyth", "wormhole", "multicall", "erc20", "eip1967", "entropy"],
)
def test_every_function_has_its_published_selector(module: object, published: dict[str, str]) -> None:
    found = {one.signature: one.selector.hex() for one in vars(module).values() if isinstance(one, Function)}
    assert found == published


def test_every_event_has_its_published_topic() -> None:
    found = {one.name: one.topic.hex() for one in vars(pyth_events).values() if isinstance(one, Event)}
    assert found == TOPICS
    assert {one.name for one in pyth_events.EVENTS} == set(TOPICS)


def test_every_event_of_entropy_has_its_published_topic() -> None:
    found = {name: one for name, one in vars(entropy_events).items() if isinstance(one, Event)}
    assert {name: found[name].topic.hex() for name in ENTROPY_TOPICS} == ENTROPY_TOPICS
    assert set(entropy_events.EVENTS) == set(found.values())
    for event in found.values():
        assert event.topic == keccak(text=event.signature)


def test_every_error_of_entropy_has_its_published_selector() -> None:
    assert {name: found.hex() for found, name in reverts.ENTROPY_SELECTORS.items()} == ENTROPY_ERRORS


def test_every_error_has_its_published_selector() -> None:
    assert {name: found.hex() for found, name in reverts.SELECTORS.items()} == ERRORS
    assert (reverts.ERROR_STRING.hex(), reverts.PANIC.hex()) == ("08c379a0", "4e487b71")


@pytest.mark.parametrize("signature", [*PYTH, *WORMHOLE, *MULTICALL, *ERC20, *ENTROPY, "Error(string)"])
def test_selectors_by_another_keccak(signature: str) -> None:
    assert selector(signature) == keccak(text=signature)[:4]


@pytest.mark.parametrize(
    ("slot", "name"),
    [
        (eip1967.IMPLEMENTATION_SLOT, "eip1967.proxy.implementation"),
        (eip1967.ADMIN_SLOT, "eip1967.proxy.admin"),
        (eip1967.BEACON_SLOT, "eip1967.proxy.beacon"),
    ],
)
def test_slots(slot: int, name: str) -> None:
    assert slot == int.from_bytes(keccak(text=name), "big") - 1
