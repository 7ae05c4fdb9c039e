"""The tree and its proofs: what is in it proves, nothing else does, and a memory of nodes changes neither."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probekit.codecs.keccak import keccak160
from probekit.codecs.merkle import EMPTY, NODE_SIZE, MerkleTree, ProofChecker, check_proofs, leaf_hash, node_hash
from probekit.errors import BadProof


def proves(root: bytes, message: bytes, proof: bytes) -> bool:
    """The rule as the format states it, without any memory."""
    node = leaf_hash(message)
    for at in range(0, len(proof), NODE_SIZE):
        node = node_hash(node, proof[at : at + NODE_SIZE])
    return node == root


def tree_of(count: int) -> tuple[MerkleTree, list[tuple[bytes, bytes]]]:
    content = [f"message {number}".encode() for number in range(count)]
    tree = MerkleTree(content)
    return tree, [(message, tree.proof(number)) for number, message in enumerate(content)]


def test_hashes_are_what_the_format_says() -> None:
    assert keccak160(b"\x02") == EMPTY
    assert leaf_hash(b"m") == keccak160(b"\x00m")
    low, high = bytes(20), b"\xff" * 20
    assert node_hash(low, high) == node_hash(high, low) == keccak160(b"\x01" + low + high)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9, 255, 600])
def test_every_message_of_a_tree_proves(count: int) -> None:
    tree, proven = tree_of(count)
    assert all(proves(tree.root, *one) for one in proven)
    assert {len(proof) // NODE_SIZE for _, proof in proven} == {(count - 1).bit_length()}
    check_proofs(tree.root, proven)
    for one in proven[:9]:
        check_proofs(tree.root, [one])


def test_a_tree_needs_a_message_and_proves_no_padding() -> None:
    with pytest.raises(ValueError):
        MerkleTree([])
    for index in (-1, 3):
        with pytest.raises(IndexError):
            MerkleTree([b"a", b"b", b"c"]).proof(index)


@given(st.integers(1, 40), st.data())
def test_memory_never_changes_the_answer(count: int, data: st.DataObject) -> None:
    """Proofs cut, extended, swapped and flipped, in any order, agree with the rule applied to each alone."""
    tree, proven = tree_of(count)
    picked = data.draw(st.lists(st.sampled_from(proven), min_size=1, max_size=12))
    number = data.draw(st.integers(0, len(picked) - 1))
    message, proof = picked[number]
    damage = data.draw(st.sampled_from(["none", "flip", "cut", "extend", "swap", "message"]))
    if damage == "flip" and proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        proof = proof[:at] + bytes((proof[at] ^ data.draw(st.integers(1, 255)),)) + proof[at + 1 :]
    elif damage == "cut":
        proof = proof[: NODE_SIZE * data.draw(st.integers(0, len(proof) // NODE_SIZE))]
    elif damage == "extend":
        proof += data.draw(st.sampled_from([tree.root, bytes(20), EMPTY, proof[-20:] or bytes(20)]))
    elif damage == "swap":
        proof = data.draw(st.sampled_from(proven))[1]
    elif damage == "message":
        message += b"\x00"
    picked[number] = (message, proof)
    good = all(proves(tree.root, *one) for one in picked)
    if good:
        check_proofs(tree.root, picked)
    else:
        with pytest.raises(BadProof):
            check_proofs(tree.root, picked)


def test_a_wrong_sibling_behind_a_known_node_is_refused() -> None:
    """Every node of the second message's path above its leaf is known from the first; each sibling must hold all the same."""
    tree, proven = tree_of(64)
    (first, first_proof), (second, second_proof) = proven[0], proven[1]
    for level in range(6):
        at = level * NODE_SIZE
        wrong = second_proof[:at] + keccak160(b"else") + second_proof[at + NODE_SIZE :]
        with pytest.raises(BadProof, match="message 1 "):
            check_proofs(tree.root, [(first, first_proof), (second, wrong)])


def test_every_single_byte_of_every_proof_counts() -> None:
    tree, proven = tree_of(16)
    for number, (message, proof) in enumerate(proven):
        for at in range(len(proof)):
            broken = proof[:at] + bytes((proof[at] ^ 1,)) + proof[at + 1 :]
            with pytest.raises(BadProof):
                check_proofs(tree.root, [*proven[:number], (message, broken), *proven[number + 1 :]])


def test_an_inner_node_is_no_message() -> None:
    """The second-preimage attack: both children of a node, joined, presented as a leaf."""
    tree, proven = tree_of(4)
    children = leaf_hash(proven[0][0]) + leaf_hash(proven[1][0])
    with pytest.raises(BadProof):
        check_proofs(tree.root, [(b"\x01" + children, proven[0][1][NODE_SIZE:])])


def test_trailing_bytes_of_a_message_are_covered() -> None:
    tree, proven = tree_of(4)
    with pytest.raises(BadProof):
        check_proofs(tree.root, [(proven[0][0] + b"\x00", proven[0][1])])


def test_a_failure_leaves_nothing_believed() -> None:
    """After a refusal the checker forgets: parts of the refused path must not vouch for a later one."""
    tree, proven = tree_of(8)
    checker = ProofChecker(tree.root)
    checker.check(proven[:4])
    forged = (b"forged", keccak160(b"x") + proven[0][1][NODE_SIZE:])
    for _ in range(2):
        with pytest.raises(BadProof):
            checker.check([forged])
    # The forged leaf's sibling, with the path that the refused proof would have given it.
    with pytest.raises(BadProof):
        checker.check([(b"forged", forged[1])])
    checker.check(proven)


def test_order_does_not_matter() -> None:
    tree, proven = tree_of(200)
    random.Random(4).shuffle(proven)
    check_proofs(tree.root, proven)
