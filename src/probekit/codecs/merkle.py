"""The accumulator's Merkle tree over keccak-160.

Leaf = keccak256(0x00 || message)[:20]; node = keccak256(0x01 || smaller child || larger child)[:20]; an empty leaf is
keccak256(0x02)[:20]. A proof is the siblings from the leaf up, 20 bytes each. Source: pythnet_sdk ``accumulators/merkle.rs``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    """A tree over messages, padded with empty leaves to a power of two; at least one message."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        if not messages:
            raise ValueError("a tree over no messages has no root")
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
        """The siblings of message ``index`` from the leaf up, joined."""
        siblings = []
        for level in self._levels[:-1]:
            siblings.append(level[index ^ 1])
            index >>= 1
        return b"".join(siblings)


def check_proofs(root: bytes, proven: Iterable[tuple[bytes, bytes]]) -> None:
    """Check that every (message, proof) leads to ``root``. Raises ``BadProof`` naming the first that does not.

    Messages of one tree share most of their paths, so a node once shown to lead to the root is remembered with the rest of the
    path that showed it. Another proof may stop there only if its own rest is the same: garbage behind a known node is still
    garbage, and a contract would refuse it.
    """
    known: dict[bytes, tuple[bytes, int]] = {root: (b"", 0)}
    for number, (message, proof) in enumerate(proven):
        length = len(proof)
        position = 0
        node = keccak_256(b"\x00" + message).digest()[:20]
        path: list[tuple[bytes, int]] = []
        while True:
            seen = known.get(node)
            if seen is not None:
                other, at = seen
                if len(other) - at == length - position and other[at:] == proof[position:]:
                    break
            if position >= length:
                raise BadProof(f"the Merkle path of message {number} ends at {node.hex()}, the signed root is {root.hex()}")
            path.append((node, position))
            sibling = proof[position : position + 20]
            position += 20
            pair = b"\x01" + node + sibling if node <= sibling else b"\x01" + sibling + node
            node = keccak_256(pair).digest()[:20]
        for node, at in path:
            known[node] = (proof, at)
