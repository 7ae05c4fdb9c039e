"""The page about Pyth Pro: every example runs as it stands, against routers of the sandbox and verifiers of ours."""

from __future__ import annotations

import ast
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from probekit.codecs.evm.registry import ContractKind, contracts
from probekit.codecs.lazer import storage
from probekit.codecs.solana.addresses import LAZER_PROGRAM
from probekit.dev.lazer.network import LazerNetwork
from probekit.dev.lazer.router import Router
from probekit.dev.lazer.server import serve
from probekit.model.lazer import LazerStorage
from probekit.model.pubkey import Pubkey
from probekit.model.solana import Account
from probekit.secret import Secret
from probekit.units import Instant
from tests.docs.blocks import Block, of_kind, printed_as_said
from tests.unit.clients.cluster import Cluster
from tests.unit.clients.contracts import Contract, EvmNode

KEY = "a-key-for-the-page"


@asynccontextmanager
async def what_the_page_names() -> AsyncIterator[dict[str, Any]]:
    network = LazerNetwork()
    expires = Instant.parse("2026-12-31T00:00:00Z")
    address, key = network.signing.signers(expires).signers
    (deployed,) = contracts(8453, ContractKind.LAZER)
    node, verifier = EvmNode(chain_id=8453), Contract()
    verifier.has("version()", ["string"], lambda _: ["0.2.0"])
    verifier.has("owner()", ["address"], lambda _: ["0x" + "0e" * 20])
    verifier.has("verification_fee()", ["uint256"], lambda _: [1])
    signers = [("0x" + address.key.hex(), expires.seconds)]
    verifier.has("getTrustedSigners()", ["(address,uint256)[]"], lambda _: [signers])
    node.contracts[deployed.address.lower()] = verifier
    cluster = Cluster()
    held = storage.encode_storage(LazerStorage(Pubkey(bytes(32)), Pubkey(bytes(32)), 1, (key,), (address,)))
    cluster.add(Account(storage.storage_address(), LAZER_PROGRAM, 1, held, False, 1))
    async with serve(Router(network, keys=(KEY,))) as one, serve(Router(network, keys=(KEY,))) as two:
        yield {
            "routers": [one.http, two.http],
            "history": one.http,
            "sockets": [one.ws, two.ws],
            "key": Secret(KEY),
            "signers": network.signers,
            "evm": node.client,
            "solana": cluster.client,
        }


@pytest.mark.parametrize("block", [pytest.param(block, id=str(block)) for block in of_kind("pro")])
async def test_an_example(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    async with what_the_page_names() as names:
        result = eval(compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        assert inspect.iscoroutine(result)
        await result
    printed_as_said(block, capsys.readouterr().out)


def test_every_example_says_what_it_prints() -> None:
    blocks = of_kind("pro")
    assert len(blocks) > 4
    assert all(block.output for block in blocks)
