// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "@pythnetwork/pyth-sdk-solidity/PythErrors.sol";
import "@pythnetwork/pyth-sdk-solidity/PythStructs.sol";

/// Takes the updates that Hermes serves (PNAU) as Pyth's contract does, but for their signatures and proofs, which it believes.
/// Anybody may set its fee and make it misbehave.
contract Served {
    event PriceFeedUpdate(bytes32 indexed id, uint64 publishTime, int64 price, uint64 conf);

    uint256 public singleFee;
    /// Takes updates and the fee, and stores nothing.
    bool public deaf;
    /// Refuses every update as not signed by whom it should be.
    bool public distrustful;
    mapping(bytes32 => PythStructs.Price) private stored;

    constructor(uint256 fee) {
        singleFee = fee;
    }

    function setFee(uint256 fee) external {
        singleFee = fee;
    }

    function setDeaf(bool on) external {
        deaf = on;
    }

    function setDistrustful(bool on) external {
        distrustful = on;
    }

    function getUpdateFee(bytes[] calldata updates) public view returns (uint256 fee) {
        for (uint256 i = 0; i < updates.length; i++) fee += singleFee * uint8(updates[i][countAt(updates[i])]);
    }

    function getPriceUnsafe(bytes32 id) external view returns (PythStructs.Price memory) {
        if (stored[id].publishTime == 0) revert PythErrors.PriceFeedNotFound();
        return stored[id];
    }

    function updatePriceFeeds(bytes[] calldata updates) external payable {
        if (distrustful) revert PythErrors.InvalidWormholeVaa();
        if (msg.value < getUpdateFee(updates)) revert PythErrors.InsufficientFee();
        for (uint256 i = 0; i < updates.length; i++) take(updates[i]);
    }

    /// Where the number of messages stands: after magic, version, trailing header, type, and the VAA with its length.
    function countAt(bytes calldata update) private pure returns (uint256 pos) {
        if (update.length < 10 || bytes4(update[:4]) != "PNAU") revert PythErrors.InvalidUpdateData();
        pos = 7 + uint8(update[6]);
        pos += 3 + uint16(bytes2(update[pos + 1:pos + 3]));
    }

    function take(bytes calldata update) private {
        uint256 pos = countAt(update);
        uint256 count = uint8(update[pos++]);
        for (uint256 i = 0; i < count; i++) {
            uint256 size = uint16(bytes2(update[pos:pos + 2]));
            pos += 2;
            if (update[pos] == 0) store(update[pos:pos + size]);
            pos += size;
            pos += 1 + 20 * uint256(uint8(update[pos]));
        }
    }

    function store(bytes calldata message) private {
        bytes32 id = bytes32(message[1:33]);
        int64 price = int64(uint64(bytes8(message[33:41])));
        uint64 conf = uint64(bytes8(message[41:49]));
        int32 expo = int32(uint32(bytes4(message[49:53])));
        uint64 publishTime = uint64(bytes8(message[53:61]));
        if (deaf || publishTime <= stored[id].publishTime) return;
        stored[id] = PythStructs.Price(price, conf, expo, publishTime);
        emit PriceFeedUpdate(id, publishTime, price, conf);
    }
}
