// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// A Wormhole receiver as Pyth deploys it, for tests: the same functions, reasons and refusals, in code of our own.
/// Sets are numbered; the newest is in force, and one that was replaced counts for a day. `half` asks for more than half of
/// a set's guardians, as receivers of the pro root do, instead of more than two thirds.
contract Receiver {
    struct GuardianSet {
        address[] keys;
        uint32 expirationTime;
    }

    struct Signature {
        bytes32 r;
        bytes32 s;
        uint8 v;
        uint8 guardianIndex;
    }

    struct VM {
        uint8 version;
        uint32 timestamp;
        uint32 nonce;
        uint16 emitterChainId;
        bytes32 emitterAddress;
        uint64 sequence;
        uint8 consistencyLevel;
        bytes payload;
        uint32 guardianSetIndex;
        Signature[] signatures;
        bytes32 hash;
    }

    error VmVersionIncompatible();
    error SignatureIndexesNotAscending();

    uint32 private constant KEPT = 86400;
    bytes32 private constant CORE = bytes32(uint256(uint32(bytes4("Core"))));

    bool private immutable half;
    uint32 private index;
    mapping(uint32 => GuardianSet) private sets;
    mapping(bytes32 => bool) private consumed;

    uint16 public constant governanceChainId = 1;
    bytes32 public constant governanceContract = bytes32(uint256(4));
    uint16 public immutable chainId;

    constructor(uint32 firstIndex, address[] memory guardians, bool half_, uint16 chainId_) {
        half = half_;
        chainId = chainId_;
        index = firstIndex;
        sets[firstIndex].keys = guardians;
    }

    function getCurrentGuardianSetIndex() external view returns (uint32) {
        return index;
    }

    function getGuardianSet(uint32 number) external view returns (GuardianSet memory) {
        return sets[number];
    }

    /// Not stored in the real one either.
    function getGuardianSetExpiry() external pure returns (uint32) {
        return 0;
    }

    function governanceActionIsConsumed(bytes32 hash) external view returns (bool) {
        return consumed[hash];
    }

    function parseAndVerifyVM(bytes calldata encoded) external view returns (VM memory vm, bool valid, string memory reason) {
        vm = parse(encoded);
        (valid, reason) = judge(vm);
        // The real one gives back no signatures once it has looked at them.
        vm.signatures = new Signature[](0);
    }

    function verifyVM(VM memory vm) external view returns (bool, string memory) {
        return judge(vm);
    }

    function submitNewGuardianSet(bytes calldata encoded) external {
        VM memory vm = parse(encoded);
        (bool valid, string memory reason) = judge(vm);
        require(valid, reason);
        require(vm.guardianSetIndex == index, "not signed by current guardian set");
        require(vm.emitterChainId == governanceChainId && vm.emitterAddress == governanceContract, "wrong governance");
        require(!consumed[vm.hash], "governance action already consumed");
        consumed[vm.hash] = true;
        bytes memory payload = vm.payload;
        require(payload.length >= 40 && word(payload, 0) == uint256(CORE), "invalid Module");
        require(uint8(payload[32]) == 2 && read(payload, 33, 2) == 0, "invalid upgrade");
        uint32 next = uint32(read(payload, 35, 4));
        require(next == index + 1, "index must increase in steps of 1");
        uint256 size = uint8(payload[39]);
        require(size > 0 && payload.length == 40 + 20 * size, "invalid GuardianSetUpgrade");
        for (uint256 pos = 0; pos < size; pos++) {
            sets[next].keys.push(address(uint160(read(payload, 40 + 20 * pos, 20))));
        }
        sets[index].expirationTime = uint32(block.timestamp) + KEPT;
        index = next;
    }

    function quorum(uint256 guardians) private view returns (uint256) {
        return half ? guardians / 2 + 1 : (guardians * 2) / 3 + 1;
    }

    function judge(VM memory vm) private view returns (bool, string memory) {
        GuardianSet memory set = sets[vm.guardianSetIndex];
        if (set.keys.length == 0) return (false, "invalid guardian set");
        if (vm.guardianSetIndex != index && set.expirationTime < block.timestamp) return (false, "guardian set has expired");
        // Their number before they are looked at.
        if (vm.signatures.length < quorum(set.keys.length)) return (false, "no quorum");
        for (uint256 pos = 0; pos < vm.signatures.length; pos++) {
            Signature memory one = vm.signatures[pos];
            if (pos > 0 && one.guardianIndex <= vm.signatures[pos - 1].guardianIndex) revert SignatureIndexesNotAscending();
            if (ecrecover(vm.hash, one.v, one.r, one.s) != set.keys[one.guardianIndex]) return (false, "VM signature invalid");
        }
        return (true, "");
    }

    function parse(bytes memory encoded) private pure returns (VM memory vm) {
        if (encoded.length < 6 || uint8(encoded[0]) != 1) revert VmVersionIncompatible();
        vm.version = 1;
        vm.guardianSetIndex = uint32(read(encoded, 1, 4));
        uint256 signatures = uint8(encoded[5]);
        uint256 pos = 6;
        vm.signatures = new Signature[](signatures);
        for (uint256 number = 0; number < signatures; number++) {
            vm.signatures[number] = Signature({
                guardianIndex: uint8(read(encoded, pos, 1)),
                r: bytes32(read(encoded, pos + 1, 32)),
                s: bytes32(read(encoded, pos + 33, 32)),
                v: uint8(read(encoded, pos + 65, 1)) + 27
            });
            pos += 66;
        }
        bytes memory body = tail(encoded, pos);
        vm.hash = keccak256(abi.encodePacked(keccak256(body)));
        vm.timestamp = uint32(read(body, 0, 4));
        vm.nonce = uint32(read(body, 4, 4));
        vm.emitterChainId = uint16(read(body, 8, 2));
        vm.emitterAddress = bytes32(read(body, 10, 32));
        vm.sequence = uint64(read(body, 42, 8));
        vm.consistencyLevel = uint8(read(body, 50, 1));
        vm.payload = tail(body, 51);
    }

    function tail(bytes memory from, uint256 pos) private pure returns (bytes memory rest) {
        require(pos <= from.length, "too short");
        rest = new bytes(from.length - pos);
        for (uint256 number = 0; number < rest.length; number++) {
            rest[number] = from[pos + number];
        }
    }

    function read(bytes memory from, uint256 pos, uint256 size) private pure returns (uint256) {
        require(pos + size <= from.length, "too short");
        return word(from, pos) >> (256 - 8 * size);
    }

    function word(bytes memory from, uint256 pos) private pure returns (uint256 found) {
        assembly {
            found := mload(add(add(from, 32), pos))
        }
    }
}
