"""The accumulator's Merkle tree over keccak-160.

Leaf = keccak256(0x00 || message)[:20]; node = keccak256(0x01 || smaller child || larger child)[:20]; an empty leaf is
keccak256(0x02)[:20]. A proof is the siblings from the leaf up, 20 bytes each. Source: pythnet_sdk ``accumulators/merkle.rs``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sha3 import keccak_256

from probekit.codecs.keccak import keccak160
from probekit.errors import BadProof

NODE_SIZE: Final = 20
EMPTY: Final = keccak160(b"\x02")


def leaf_hash(message: bytes) -> bytes:
    """The leaf of a message."""
    return keccak160(b"\x00" + message)


def node_hash(left: bytes, right: bytes) -> bytes:
    """The parent of two nodes, whose order does not matter."""
    return keccak160(b"\x01" + left + right if left <= right else b"\x01" + right + left)


class MerkleTree:
    """A tree over messages, padded with empty leaves to a power of two. Raises ``ValueError`` without a message."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        if not messages:
            raise ValueError("a tree over no messages has no root")
        self._size = len(messages)
        level = [leaf_hash(message) for message in messages]
        level += [EMPTY] * ((1 << (len(level) - 1).bit_length()) - len(level))
        self._levels = [level]
        while len(level) > 1:
            level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        """20 bytes."""
        return self._levels[-1][0]

    def proof(self, index: int) -> bytes:
        """The siblings of message ``index`` from the leaf up, joined. Raises ``IndexError``."""
        if not 0 <= index < self._size:
            raise IndexError(f"message {index} of a tree over {self._size}")
        siblings = []
        for level in self._levels[:-1]:
            siblings.append(level[index ^ 1])
            index >>= 1
        return b"".join(siblings)


class ProofChecker:
    """Checks proofs against one root, and remembers what it has shown, so that messages of one tree share their paths.

    A node shown to lead to the root is remembered with the rest of its path; so is its sibling, whose own path is thereby
    known. Another proof may stop at such a node only if its own rest is the same, byte for byte: garbage behind a known node is
    still garbage, and a contract would refuse it. Memory is bounded by the proofs given.
    """

    __slots__ = ("_known", "_root")

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._known: dict[bytes, bytes] = {root: b""}

    def _leads(self, message: bytes, proof: bytes) -> bool:
        """Whether one proof leads to the root, with nothing remembered: for one message that costs as much as the hashes."""
        node: bytes = keccak_256(b"\x00" + message).digest()[:20]
        for at in range(0, len(proof), 20):
            sibling = proof[at : at + 20]
            pair = b"\x01" + node + sibling if node <= sibling else b"\x01" + sibling + node
            node = keccak_256(pair).digest()[:20]
        return node == self._root

    def check(self, proven: Sequence[tuple[bytes, bytes]]) -> None:
        """Check that every (message, proof) leads to the root. Raises ``BadProof`` naming the first that does not."""
        known = self._known
        if len(known) == 1 and len(proven) == 1 and self._leads(*proven[0]):
            return
        rest_of = known.get
        for number, (message, proof) in enumerate(proven):
            node = keccak_256(b"\x00" + message).digest()[:20]
            rest = proof
            while rest_of(node) != rest:
                if not rest:
                    # This path was noted on the way as if it held; nothing of it may be believed.
                    self._known = {self._root: b""}
                    raise BadProof(
                        f"the Merkle path of message {number} ends at {node.hex()}, the signed root is {self._root.hex()}"
                    )
                known[node] = rest
                sibling, rest = rest[:20], rest[20:]
                known[sibling] = node + rest
                pair = b"\x01" + node + sibling if node <= sibling else b"\x01" + sibling + node
                node = keccak_256(pair).digest()[:20]


def check_proofs(root: bytes, proven: Sequence[tuple[bytes, bytes]]) -> None:
    """Check that every (message, proof) leads to ``root``. Raises ``BadProof`` naming the first that does not."""
    ProofChecker(root).check(proven)
