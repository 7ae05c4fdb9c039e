// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Compatible with Multicall3, as far as readers use it: each call may fail for itself.
contract Multicall {
    struct Call {
        address target;
        bytes callData;
    }

    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 pos = 0; pos < calls.length; pos++) {
            (bool success, bytes memory answer) = calls[pos].target.call(calls[pos].callData);
            require(success || calls[pos].allowFailure, "Multicall3: call failed");
            results[pos] = Result(success, answer);
        }
    }

    function tryBlockAndAggregate(bool requireSuccess, Call[] calldata calls)
        external
        payable
        returns (uint256 blockNumber, bytes32 blockHash, Result[] memory results)
    {
        blockNumber = block.number;
        blockHash = blockhash(block.number);
        results = new Result[](calls.length);
        for (uint256 pos = 0; pos < calls.length; pos++) {
            (bool success, bytes memory answer) = calls[pos].target.call(calls[pos].callData);
            require(success || !requireSuccess, "Multicall3: call failed");
            results[pos] = Result(success, answer);
        }
    }

    function getBlockNumber() external view returns (uint256) {
        return block.number;
    }

    function getCurrentBlockTimestamp() external view returns (uint256) {
        return block.timestamp;
    }

    function getChainId() external view returns (uint256) {
        return block.chainid;
    }

    function getBasefee() external view returns (uint256) {
        return block.basefee;
    }

    function getEthBalance(address account) external view returns (uint256) {
        return account.balance;
    }
}
