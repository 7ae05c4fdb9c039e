// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Every way in which a contract refuses, and some answers beside.
contract Refuser {
    error StalePrice();
    error OfNobody(uint256 number, string text);

    uint256[] private numbers;

    event Counted(uint256 indexed number, bytes32 word);

    function withText(string calldata text) external pure {
        revert(text);
    }

    function byAssertion() external pure {
        assert(false);
    }

    function byOverflow(uint8 number) external pure returns (uint8) {
        return number + 1;
    }

    function byDivision(uint256 number) external pure returns (uint256) {
        return 1 / number;
    }

    function byIndex(uint256 pos) external view returns (uint256) {
        return numbers[pos];
    }

    function asPyth() external pure {
        revert StalePrice();
    }

    function asNobody() external pure {
        revert OfNobody(7, "seven");
    }

    function withoutAWord() external pure {
        assembly {
            revert(0, 0)
        }
    }

    function withBytes(bytes calldata answer) external pure {
        bytes memory copied = answer;
        assembly {
            revert(add(copied, 32), mload(copied))
        }
    }

    /// All the gas that it is given, and no word.
    function burning() external pure {
        assembly {
            invalid()
        }
    }

    /// The same by work that does not end.
    function working() external view returns (uint256 found) {
        while (gasleft() > 0) {
            found = uint256(keccak256(abi.encode(found)));
        }
    }

    /// Not more than so much gas is used by work, then it answers.
    function spending(uint256 gas_) external view returns (uint256 rounds) {
        uint256 begun = gasleft();
        bytes32 word;
        while (begun - gasleft() < gas_) {
            word = keccak256(abi.encode(word));
            rounds++;
        }
    }

    function echo(uint256 number) external pure returns (uint256) {
        return number;
    }

    /// An answer that is none of `echo(uint256)`'s: 31 bytes.
    function short(uint256) external pure returns (uint256) {
        assembly {
            return(0, 31)
        }
    }

    function silent() external pure {}

    function paid() external payable returns (uint256) {
        return msg.value;
    }

    function caller() external view returns (address) {
        return msg.sender;
    }

    function count(uint256 from, uint256 times) external {
        for (uint256 number = from; number < from + times; number++) {
            emit Counted(number, keccak256(abi.encode(number)));
        }
    }
}
