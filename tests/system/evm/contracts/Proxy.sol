// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// A proxy as ERC-1967 has it: its implementation stands in the slot, and answers for everything.
contract Proxy {
    // keccak256("eip1967.proxy.implementation") - 1
    bytes32 private constant SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    event Upgraded(address indexed implementation);

    constructor(address implementation) {
        install(implementation);
    }

    function upgradeTo(address implementation) external {
        install(implementation);
    }

    function install(address implementation) private {
        assembly {
            sstore(SLOT, implementation)
        }
        emit Upgraded(implementation);
    }

    receive() external payable {
        forward();
    }

    fallback() external payable {
        forward();
    }

    function forward() private {
        assembly {
            calldatacopy(0, 0, calldatasize())
            let answered := delegatecall(gas(), sload(SLOT), 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if answered {
                return(0, returndatasize())
            }
            revert(0, returndatasize())
        }
    }
}
