"""Methods that read: the cluster's state, accounts, token accounts.

Each function is the RPC method of its name: the arguments are the method's, an absent one None; it returns the ``result`` or
raises :class:`~probekit.dev.svm.words.Refusal`.
"""

from __future__ import annotations

from typing import Any, Final

from solders.account import Account
from solders.pubkey import Pubkey

from probekit.dev.svm import params, tokens
from probekit.dev.svm.chain import Block, Commitment
from probekit.dev.svm.encoding import ENCODINGS, GetAccount, data_slice, filters, keyed, ui_account
from probekit.dev.svm.ledger import SLOTS_PER_EPOCH
from probekit.dev.svm.node import Node
from probekit.dev.svm.params import Config
from probekit.dev.svm.words import Refusal, invalid_params

MAX_MULTIPLE_ACCOUNTS: Final = 100
_BLOCK_CLEANED_UP: Final = -32001
_BLOCK_NOT_AVAILABLE: Final = -32004
_SLOT_SKIPPED: Final = -32007
VERSION: Final = "0.0.0-litesvm.probekit"
"""What getVersion says: no release of a validator, so that nobody takes this node for one."""


def with_context(block: Block, value: Any) -> dict[str, Any]:
    """An RpcResponse."""
    return {"context": {"slot": block.slot, "apiVersion": VERSION}, "value": value}


def _lookup(node: Node, block: Block) -> GetAccount:
    return lambda key: node.account(key, block)


# -- the cluster


def get_version(node: Node) -> Any:
    return {"solana-core": VERSION, "feature-set": 0}


def get_genesis_hash(node: Node) -> Any:
    return str(node.ledger.genesis_hash)


def get_health(node: Node) -> Any:
    node.check_health()
    return "ok"


def get_identity(node: Node) -> Any:
    return {"identity": str(node.identity)}


def get_cluster_nodes(node: Node) -> Any:
    nobody = ("gossip", "tpu", "tpuQuic", "tvu", "rpc", "pubsub")
    return [
        {
            "pubkey": str(node.identity),
            **dict.fromkeys(nobody),
            "version": VERSION,
            "featureSet": 0,
            "shredVersion": 0,
        }
    ]


def get_slot(node: Node, config: Any) -> Any:
    return node.view(Config(config, "RpcContextConfig")).slot


def get_block_height(node: Node, config: Any) -> Any:
    return node.view(Config(config, "RpcContextConfig")).height


def get_transaction_count(node: Node, config: Any) -> Any:
    return node.view(Config(config, "RpcContextConfig")).transactions


def get_epoch_info(node: Node, config: Any) -> Any:
    block = node.view(Config(config, "RpcContextConfig"))
    return {
        "absoluteSlot": block.slot,
        "blockHeight": block.height,
        "epoch": block.slot // SLOTS_PER_EPOCH,
        "slotIndex": block.slot % SLOTS_PER_EPOCH,
        "slotsInEpoch": SLOTS_PER_EPOCH,
        "transactionCount": block.transactions,
    }


def get_epoch_schedule(node: Node) -> Any:
    return {
        "slotsPerEpoch": SLOTS_PER_EPOCH,
        "leaderScheduleSlotOffset": SLOTS_PER_EPOCH,
        "warmup": False,
        "firstNormalEpoch": 0,
        "firstNormalSlot": 0,
    }


def get_first_available_block(node: Node) -> Any:
    return node.ledger.oldest_block.slot


def get_block_time(node: Node, slot: Any) -> Any:
    return _block_of(node, slot, "processed").unix_timestamp


def get_block(node: Node, slot: Any, config: Any) -> Any:
    """Without its transactions, as asked by ``transactionDetails: none``: those of a block are not kept together here."""
    given = Config(config, "RpcBlockConfig")
    if given.get("transactionDetails") != "none":
        raise invalid_params("this node has blocks without their transactions only: ask with transactionDetails none")
    block = _block_of(node, slot, given.commitment())
    parent = node.ledger.block(block.parent)
    return {
        "blockhash": str(block.blockhash),
        "previousBlockhash": str(block.blockhash if parent is None else parent.blockhash),
        "parentSlot": block.parent,
        "blockTime": block.unix_timestamp,
        "blockHeight": block.height,
    }


def _block_of(node: Node, slot: Any, commitment: Commitment) -> Block:
    wanted = params.unsigned(slot)
    block = node.ledger.block(wanted)
    if block is not None and wanted <= node.block(commitment).slot:
        return block
    oldest = node.ledger.oldest_block.slot
    if wanted < oldest:
        message = f"Block {wanted} cleaned up, does not exist on node. First available block: {oldest}"
        raise Refusal(_BLOCK_CLEANED_UP, message)
    if wanted < node.block("finalized").slot:
        message = f"Slot {wanted} was skipped, or missing due to ledger jump to recent snapshot"
        raise Refusal(_SLOT_SKIPPED, message)
    raise Refusal(_BLOCK_NOT_AVAILABLE, f"Block not available for slot {wanted}")


def get_minimum_balance_for_rent_exemption(node: Node, size: Any, config: Any) -> Any:
    Config(config, "CommitmentConfig").commitment()
    # Far beyond what an account can hold, the runtime's own arithmetic would overflow.
    return node.ledger.rent_exempt(min(params.unsigned(size, "usize"), 2**48))


# -- accounts


def get_balance(node: Node, key: Any, config: Any) -> Any:
    wanted = params.pubkey(key)
    block = node.view(Config(config, "RpcContextConfig"))
    account = node.account(wanted, block)
    return with_context(block, 0 if account is None else account.lamports)


def get_account_info(node: Node, key: Any, config: Any) -> Any:
    wanted = params.pubkey(key)
    options = Config(config, "RpcAccountInfoConfig")
    encoding, cut = options.one_of("encoding", ENCODINGS, "binary"), data_slice(options)
    block = node.view(options)
    account = node.account(wanted, block)
    shown = None if account is None else ui_account(account, encoding, cut, _lookup(node, block))
    return with_context(block, shown)


def get_multiple_accounts(node: Node, keys: Any, config: Any) -> Any:
    named = params.texts(keys)
    if len(named) > MAX_MULTIPLE_ACCOUNTS:
        raise invalid_params(f"Too many inputs provided; max {MAX_MULTIPLE_ACCOUNTS}")
    wanted = [params.pubkey(one) for one in named]
    options = Config(config, "RpcAccountInfoConfig")
    encoding, cut = options.one_of("encoding", ENCODINGS, "base64"), data_slice(options)
    block = node.view(options)
    found = [node.account(one, block) for one in wanted]
    lookup = _lookup(node, block)
    return with_context(block, [None if one is None else ui_account(one, encoding, cut, lookup) for one in found])


def get_program_accounts(node: Node, program: Any, config: Any) -> Any:
    owner = params.pubkey(program)
    options = Config(config, "RpcProgramAccountsConfig")
    encoding, cut = options.one_of("encoding", ENCODINGS, "binary"), data_slice(options)
    wanted, wrapped = filters(options.get("filters")), options.flag("withContext")
    block = node.view(options)
    found = [
        (key, account)
        for key, account in node.ledger.program_accounts(owner, block.slot)
        if all(one(account) for one in wanted)
    ]
    shown = keyed(found, encoding, cut, _lookup(node, block))
    return with_context(block, shown) if wrapped else shown


# -- token accounts


def _decimals(mint: Pubkey, lookup: GetAccount) -> int:
    decimals = tokens.decimals_of(mint, lookup)
    if decimals is not None:
        return decimals
    if lookup(mint) is None:
        raise invalid_params("Invalid param: could not find mint")
    raise invalid_params("Invalid param: Token mint could not be unpacked")


def get_token_account_balance(node: Node, key: Any, config: Any) -> Any:
    wanted = params.pubkey(key)
    block = node.view(Config(config, "CommitmentConfig"))
    account = node.account(wanted, block)
    if account is None:
        raise invalid_params("Invalid param: could not find account")
    held = tokens.token_account(account)
    if held is None:
        raise invalid_params("Invalid param: not a Token account")
    return with_context(block, tokens.ui_amount(held.amount, _decimals(held.mint, _lookup(node, block))))


def get_token_accounts_by_owner(node: Node, owner: Any, by: Any, config: Any) -> Any:
    wanted = params.pubkey(owner)
    only: Pubkey | None = None
    programs: Pubkey = tokens.TOKEN
    match by:
        case {"mint": mint}:
            only = params.pubkey(mint)
        case {"programId": program}:
            programs = params.pubkey(program)
        case _:
            params.variant(next(iter(by)) if isinstance(by, dict) and by else by, ("mint", "programId"))
            raise AssertionError("unreachable")
    options = Config(config, "RpcAccountInfoConfig")
    encoding, cut = options.one_of("encoding", ENCODINGS, "binary"), data_slice(options)
    block = node.view(options)
    lookup = _lookup(node, block)
    if only is not None:
        _decimals(only, lookup)
        issued = lookup(only)
        programs = tokens.TOKEN if issued is None else issued.owner
        if programs not in tokens.TOKEN_PROGRAMS:
            raise invalid_params("Invalid param: not a Token mint")
    elif programs not in tokens.TOKEN_PROGRAMS:
        raise invalid_params("Invalid param: unrecognized Token program id")

    def theirs(account: Account) -> bool:
        held = tokens.token_account(account)
        return held is not None and held.owner == wanted and only in (None, held.mint)

    found = [(key, account) for key, account in node.ledger.program_accounts(programs, block.slot) if theirs(account)]
    return with_context(block, keyed(found, encoding, cut, lookup))
