// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// What Pyth's Entropy does with requests and revelations, written for tests: its storage as callers see it, its refusals, and
/// the callback with a gas limit of its own. Two contracts stand on it: of before V2, and of V2.
abstract contract EntropyBase {
    struct Request {
        address provider;
        uint64 sequenceNumber;
        uint32 numHashes;
        bytes32 commitment;
        uint64 blockNumber;
        address requester;
        bool useBlockhash;
        bool isRequestWithCallback;
    }

    struct RequestV2 {
        address provider;
        uint64 sequenceNumber;
        uint32 numHashes;
        bytes32 commitment;
        uint64 blockNumber;
        address requester;
        bool useBlockhash;
        uint8 callbackStatus;
        uint16 gasLimit10k;
    }

    struct ProviderInfo {
        uint128 feeInWei;
        uint128 accruedFeesInWei;
        bytes32 originalCommitment;
        uint64 originalCommitmentSequenceNumber;
        bytes commitmentMetadata;
        bytes uri;
        uint64 endSequenceNumber;
        uint64 sequenceNumber;
        bytes32 currentCommitment;
        uint64 currentCommitmentSequenceNumber;
        address feeManager;
        uint32 maxNumHashes;
    }

    struct Outcome {
        bytes32 user;
        bytes32 revelation;
        bytes32 number;
        bytes32 blockHash;
        bool failed;
        bytes returned;
        uint32 gasUsed;
    }

    error NoSuchProvider();
    error NoSuchRequest();
    error OutOfRandomness();
    error InsufficientFee();
    error IncorrectRevelation();
    error Unauthorized();
    error BlockhashUnavailable();
    error InvalidRevealCall();
    error LastRevealedTooOld();
    error InsufficientGas();

    event Registered(ProviderInfo provider);
    event Requested(Request request);
    event RequestedWithCallback(
        address indexed provider, address indexed requestor, uint64 indexed sequenceNumber, bytes32 userRandomNumber, Request request
    );
    event Revealed(Request request, bytes32 userRevelation, bytes32 providerRevelation, bytes32 blockHash, bytes32 randomNumber);
    event RevealedWithCallback(Request request, bytes32 userRandomNumber, bytes32 providerRevelation, bytes32 randomNumber);
    event CallbackFailed(
        address indexed provider,
        address indexed requestor,
        uint64 indexed sequenceNumber,
        bytes32 userRandomNumber,
        bytes32 providerRevelation,
        bytes32 randomNumber,
        bytes errorCode
    );

    uint128 internal constant PYTH_FEE = 7;
    address public getDefaultProvider;
    mapping(address => ProviderInfo) internal providers;
    mapping(address => uint32) internal defaultGas;
    mapping(address => mapping(uint64 => RequestV2)) internal requests;

    function register(uint128 fee, bytes32 commitment, uint64 length, bytes calldata uri, uint32 most, uint32 gas_) external {
        ProviderInfo storage info = providers[msg.sender];
        (info.feeInWei, info.uri, info.maxNumHashes) = (fee, uri, most);
        (info.originalCommitment, info.currentCommitment) = (commitment, commitment);
        info.originalCommitmentSequenceNumber = info.sequenceNumber;
        info.currentCommitmentSequenceNumber = info.sequenceNumber;
        info.endSequenceNumber = info.sequenceNumber + length;
        info.sequenceNumber++;
        defaultGas[msg.sender] = gas_;
        getDefaultProvider = msg.sender;
        emit Registered(info);
        told(msg.sender);
    }

    // -- what both answer --------------------------------------------------------------------------------------------------

    function getPythFee() external pure returns (uint128) {
        return PYTH_FEE;
    }

    function getAccruedPythFees() external view returns (uint128) {
        return uint128(address(this).balance);
    }

    function getAdmin() external view returns (address) {
        return getDefaultProvider;
    }

    function getFee(address provider) external view returns (uint128) {
        return feeOf(provider, 0);
    }

    function getProviderInfo(address provider) external view returns (ProviderInfo memory) {
        return providers[provider];
    }

    function getRequest(address provider, uint64 sequence) external view returns (Request memory) {
        return older(requests[provider][sequence]);
    }

    // -- requests and revelations ------------------------------------------------------------------------------------------

    function request(address provider, bytes32 commitment, bool useBlockhash) external payable returns (uint64) {
        RequestV2 storage made = make(provider, commitment, useBlockhash, 0, 0);
        emit Requested(older(made));
        return made.sequenceNumber;
    }

    function requestWithCallback(address provider, bytes32 user) external payable returns (uint64) {
        return ask(provider, user, 0);
    }

    function reveal(address provider, uint64 sequence, bytes32 user, bytes32 revelation) external returns (bytes32) {
        RequestV2 storage held = find(provider, sequence);
        if (held.callbackStatus != 0) revert InvalidRevealCall();
        if (held.requester != msg.sender) revert Unauthorized();
        Outcome memory outcome = combine(held, user, revelation);
        emit Revealed(older(held), user, revelation, outcome.blockHash, outcome.number);
        delete requests[provider][sequence];
        return outcome.number;
    }

    function revealWithCallback(address provider, uint64 sequence, bytes32 user, bytes32 revelation) external {
        RequestV2 storage held = find(provider, sequence);
        if (held.callbackStatus != 1 && held.callbackStatus != 3) revert InvalidRevealCall();
        Outcome memory outcome = combine(held, user, revelation);
        bytes memory call = abi.encodeWithSignature("_entropyCallback(uint64,address,bytes32)", sequence, provider, outcome.number);
        if (held.gasLimit10k != 0 && held.callbackStatus == 1) {
            guarded(held, outcome, call);
        } else {
            RequestV2 memory gone = held;
            delete requests[provider][sequence];
            uint256 begun = gasleft();
            if (gone.requester.code.length != 0) {
                (bool success, bytes memory returned) = gone.requester.call(call);
                if (!success) {
                    assembly {
                        revert(add(returned, 32), mload(returned))
                    }
                }
            }
            outcome.gasUsed = uint32(begun - gasleft());
            emit RevealedWithCallback(older(gone), user, revelation, outcome.number);
            told(gone, outcome);
        }
    }

    function guarded(RequestV2 storage held, Outcome memory outcome, bytes memory call) private {
        uint256 limit = uint256(held.gasLimit10k) * 10_000;
        held.callbackStatus = 2;
        uint256 begun = gasleft();
        (bool success, bytes memory returned) = held.requester.call{gas: limit}(call);
        outcome.gasUsed = uint32(begun - gasleft());
        held.callbackStatus = 1;
        if (returned.length > 256) {
            assembly {
                mstore(returned, 256)
            }
        }
        (outcome.failed, outcome.returned) = (!success, returned);
        RequestV2 memory copied = held;
        if (success) {
            delete requests[copied.provider][copied.sequenceNumber];
            emit RevealedWithCallback(older(copied), outcome.user, outcome.revelation, outcome.number);
        } else {
            if ((begun * 31) / 32 <= limit) revert InsufficientGas();
            held.callbackStatus = 3;
            emit CallbackFailed(
                copied.provider,
                copied.requester,
                copied.sequenceNumber,
                outcome.user,
                outcome.revelation,
                outcome.number,
                returned
            );
        }
        told(copied, outcome);
    }

    function ask(address provider, bytes32 user, uint32 gas_) internal returns (uint64) {
        RequestV2 storage made = make(provider, keccak256(abi.encode(user)), false, 1, gas_);
        emit RequestedWithCallback(provider, made.requester, made.sequenceNumber, user, older(made));
        told(made, user);
        return made.sequenceNumber;
    }

    function make(address provider, bytes32 commitment, bool useBlockhash, uint8 status, uint32 gas_)
        private
        returns (RequestV2 storage made)
    {
        ProviderInfo storage info = providers[provider];
        if (info.sequenceNumber == 0) revert NoSuchProvider();
        uint64 sequence = info.sequenceNumber;
        if (sequence >= info.endSequenceNumber) revert OutOfRandomness();
        if (msg.value < feeOf(provider, gas_)) revert InsufficientFee();
        info.sequenceNumber++;
        made = requests[provider][sequence];
        (made.provider, made.sequenceNumber, made.requester) = (provider, sequence, msg.sender);
        made.numHashes = uint32(sequence - info.currentCommitmentSequenceNumber);
        if (info.maxNumHashes != 0 && made.numHashes > info.maxNumHashes) revert LastRevealedTooOld();
        made.commitment = keccak256(bytes.concat(commitment, info.currentCommitment));
        made.blockNumber = uint64(block.number);
        (made.useBlockhash, made.callbackStatus) = (useBlockhash, status);
        uint32 least = defaultGas[provider];
        made.gasLimit10k = least == 0 ? 0 : uint16(((gas_ < least ? least : gas_) + 9_999) / 10_000);
    }

    function find(address provider, uint64 sequence) private view returns (RequestV2 storage held) {
        held = requests[provider][sequence];
        if (held.sequenceNumber == 0) revert NoSuchRequest();
    }

    function combine(RequestV2 storage held, bytes32 user, bytes32 revelation) private returns (Outcome memory outcome) {
        bytes32 link = revelation;
        for (uint32 times = 0; times < held.numHashes; times++) {
            link = keccak256(abi.encode(link));
        }
        if (keccak256(bytes.concat(keccak256(abi.encode(user)), link)) != held.commitment) revert IncorrectRevelation();
        (outcome.user, outcome.revelation) = (user, revelation);
        if (held.useBlockhash) {
            outcome.blockHash = blockhash(held.blockNumber);
            if (outcome.blockHash == 0) revert BlockhashUnavailable();
        }
        outcome.number = keccak256(bytes.concat(user, revelation, outcome.blockHash));
        ProviderInfo storage info = providers[held.provider];
        if (info.currentCommitmentSequenceNumber < held.sequenceNumber) {
            (info.currentCommitmentSequenceNumber, info.currentCommitment) = (held.sequenceNumber, revelation);
        }
    }

    function feeOf(address provider, uint32 gas_) internal view returns (uint128) {
        uint128 fee = providers[provider].feeInWei;
        uint128 rounded = ((uint128(gas_) + 9_999) / 10_000) * 10_000;
        uint128 least = defaultGas[provider];
        return PYTH_FEE + (least > 0 && rounded > least ? fee + (rounded - least) * fee / least : fee);
    }

    function older(RequestV2 memory one) internal pure returns (Request memory) {
        return Request(
            one.provider,
            one.sequenceNumber,
            one.numHashes,
            one.commitment,
            one.blockNumber,
            one.requester,
            one.useBlockhash,
            one.callbackStatus > 0
        );
    }

    // -- what V2 tells besides ---------------------------------------------------------------------------------------------

    function told(address provider) internal virtual;
    function told(RequestV2 memory made, bytes32 user) internal virtual;
    function told(RequestV2 memory revealed, Outcome memory outcome) internal virtual;
}

/// Before V2: its events and answers alone.
contract EntropyBefore is EntropyBase {
    function told(address) internal pure override {}
    function told(RequestV2 memory, bytes32) internal pure override {}
    function told(RequestV2 memory, Outcome memory) internal pure override {}
}

/// V2: both versions of everything.
contract Entropy is EntropyBase {
    struct ProviderInfoV2 {
        uint128 feeInWei;
        uint128 accruedFeesInWei;
        bytes32 originalCommitment;
        uint64 originalCommitmentSequenceNumber;
        bytes commitmentMetadata;
        bytes uri;
        uint64 endSequenceNumber;
        uint64 sequenceNumber;
        bytes32 currentCommitment;
        uint64 currentCommitmentSequenceNumber;
        address feeManager;
        uint32 maxNumHashes;
        uint32 defaultGasLimit;
    }

    event Registered(address indexed provider, bytes extraArgs);
    event Requested(
        address indexed provider,
        address indexed caller,
        uint64 indexed sequenceNumber,
        bytes32 userContribution,
        uint32 gasLimit,
        bytes extraArgs
    );
    event Revealed(
        address indexed provider,
        address indexed caller,
        uint64 indexed sequenceNumber,
        bytes32 randomNumber,
        bytes32 userContribution,
        bytes32 providerContribution,
        bool callbackFailed,
        bytes callbackReturnValue,
        uint32 callbackGasUsed,
        bytes extraArgs
    );

    function version() external pure returns (string memory) {
        return "2.0.0-test";
    }

    function getFeeV2() external view returns (uint128) {
        return feeOf(getDefaultProvider, 0);
    }

    function getFeeV2(uint32 gas_) external view returns (uint128) {
        return feeOf(getDefaultProvider, gas_);
    }

    function getFeeV2(address provider, uint32 gas_) external view returns (uint128) {
        return feeOf(provider, gas_);
    }

    function getProviderInfoV2(address provider) external view returns (ProviderInfoV2 memory found) {
        ProviderInfo memory info = providers[provider];
        found.feeInWei = info.feeInWei;
        found.accruedFeesInWei = info.accruedFeesInWei;
        found.originalCommitment = info.originalCommitment;
        found.originalCommitmentSequenceNumber = info.originalCommitmentSequenceNumber;
        found.commitmentMetadata = info.commitmentMetadata;
        found.uri = info.uri;
        found.endSequenceNumber = info.endSequenceNumber;
        found.sequenceNumber = info.sequenceNumber;
        found.currentCommitment = info.currentCommitment;
        found.currentCommitmentSequenceNumber = info.currentCommitmentSequenceNumber;
        found.feeManager = info.feeManager;
        found.maxNumHashes = info.maxNumHashes;
        found.defaultGasLimit = defaultGas[provider];
    }

    function getRequestV2(address provider, uint64 sequence) external view returns (RequestV2 memory) {
        return requests[provider][sequence];
    }

    function requestV2() external payable returns (uint64) {
        return ask(getDefaultProvider, keccak256(abi.encode(block.number)), 0);
    }

    function requestV2(uint32 gas_) external payable returns (uint64) {
        return ask(getDefaultProvider, keccak256(abi.encode(block.number)), gas_);
    }

    function requestV2(address provider, uint32 gas_) external payable returns (uint64) {
        return ask(provider, keccak256(abi.encode(block.number)), gas_);
    }

    function requestV2(address provider, bytes32 user, uint32 gas_) external payable returns (uint64) {
        return ask(provider, user, gas_);
    }

    function told(address provider) internal override {
        emit Registered(provider, "");
    }

    function told(RequestV2 memory made, bytes32 user) internal override {
        emit Requested(made.provider, made.requester, made.sequenceNumber, user, uint32(made.gasLimit10k) * 10_000, "");
    }

    function told(RequestV2 memory revealed, Outcome memory outcome) internal override {
        emit Revealed(
            revealed.provider,
            revealed.requester,
            revealed.sequenceNumber,
            outcome.number,
            outcome.user,
            outcome.revelation,
            outcome.failed,
            outcome.returned,
            outcome.gasUsed,
            ""
        );
    }
}

/// A consumer whose callback does as it was told: takes the number, refuses it, refuses it without a word, or never ends.
contract Lucky {
    error SoldOut(uint64 sequence);
    error GasLeft(uint256 gas_);

    uint8 public constant TAKE = 0;
    uint8 public constant REFUSE = 1;
    uint8 public constant SILENT = 2;
    uint8 public constant ENDLESS = 3;
    uint8 public constant MEASURE = 4;

    address public immutable entropy;
    uint8 public mood;
    bytes32 public number;

    constructor(address entropy_) {
        entropy = entropy_;
    }

    function become(uint8 mood_) external {
        mood = mood_;
    }

    /// Hands a call on to Entropy, with the value that came.
    function ask(bytes calldata call) external payable returns (bytes memory) {
        (bool success, bytes memory answer) = entropy.call{value: msg.value}(call);
        if (!success) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        return answer;
    }

    function _entropyCallback(uint64 sequence, address, bytes32 number_) external {
        uint256 given = gasleft();
        require(msg.sender == entropy, "not Entropy");
        if (mood == MEASURE) revert GasLeft(given);
        if (mood == REFUSE) revert SoldOut(sequence);
        if (mood == SILENT) {
            assembly {
                revert(0, 0)
            }
        }
        bytes32 word = number_;
        while (mood == ENDLESS) {
            word = keccak256(abi.encode(word));
        }
        number = word;
    }
}
