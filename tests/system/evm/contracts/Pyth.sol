// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import "@pythnetwork/pyth-sdk-solidity/MockPyth.sol";
import "@pythnetwork/pyth-sdk-solidity/PythErrors.sol";

/// Pyth's own MockPyth with what an upgradable contract tells of itself, and the pusher's call that looks first.
contract Pyth is MockPyth {
    struct DataSource {
        uint16 chainId;
        bytes32 emitterAddress;
    }

    address public immutable wormhole;
    DataSource private source;

    constructor(uint256 validPeriod, uint256 fee, address wormhole_, DataSource memory source_) MockPyth(validPeriod, fee) {
        wormhole = wormhole_;
        source = source_;
    }

    function version() external pure returns (string memory) {
        return "1.4.5-test";
    }

    function chainId() external pure returns (uint16) {
        return 10003;
    }

    function validDataSources() external view returns (DataSource[] memory found) {
        found = new DataSource[](1);
        found[0] = source;
    }

    function owner() external pure returns (address) {
        return address(0);
    }
}
