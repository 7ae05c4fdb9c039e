"""Known chains and contracts."""

from __future__ import annotations

import pytest

from probekit.codecs.evm import registry
from probekit.codecs.evm.registry import ContractKind, Deployment
from probekit.model.evm import Address


def test_chains_are_told_apart_by_every_number() -> None:
    chains = registry.chains()
    assert len(chains) > 20
    for field in ("name", "chain_id", "wormhole_id"):
        assert len({getattr(chain, field) for chain in chains}) == len(chains), field
    for chain in chains:
        assert registry.chain(chain.name) is chain is registry.chain(chain.chain_id)
        assert 0 < chain.wormhole_id < 2**16
        assert chain.native_decimals == 18
        assert 1 <= len(chain.native_symbol) <= 5
        assert chain.block_time_ms is None or 100 <= chain.block_time_ms <= 15_000
    assert registry.chain("nowhere") is None
    assert registry.chain(0) is None


def test_every_address_is_written_with_its_checksum_and_once_a_chain() -> None:
    written = 0
    for row in registry._ROWS:
        texts = " ".join((row.pyth, row.pyth_pro, row.wormhole, row.wormhole_pro, row.entropy, row.lazer, row.executor)).split()
        assert [str(Address(text)) for text in texts] == texts
        assert len(set(texts)) == len(texts), row.name
        written += len(texts)
    assert len(registry.contracts()) == written


def test_every_chain_has_a_price_contract_and_what_verifies_for_it() -> None:
    for chain in registry.chains():
        for deployment in Deployment:
            prices = registry.contracts(chain.chain_id, ContractKind.PYTH, deployment)
            receivers = registry.contracts(chain.chain_id, ContractKind.WORMHOLE, deployment)
            assert bool(prices) == bool(receivers), chain
        assert registry.contracts(chain.chain_id, ContractKind.PYTH, Deployment.STABLE)


@pytest.mark.parametrize(
    ("chain", "address", "kind", "deployment"),
    [
        ("bsc", "0xdF21D137Aadc95588205586636710ca2890538d5", ContractKind.PYTH, Deployment.PRO),
        ("optimism", "0xdf21d137aadc95588205586636710ca2890538d5", ContractKind.ENTROPY, Deployment.STABLE),
        ("polygon", "0x6E7D74FA7d5c90FEF9F0512987605a6d546181Bb", ContractKind.PYTH, Deployment.PRO),
        ("bsc", "0x6E7D74FA7d5c90FEF9F0512987605a6d546181Bb", ContractKind.WORMHOLE, Deployment.PRO),
        ("ethereum", "0x4305FB66699C3B2702D4d05CF36551390A4c69C6", ContractKind.PYTH, Deployment.STABLE),
        ("ethereum", "0x3a2DD09B4739D905183D503d594c8FB3e3D41820", ContractKind.WORMHOLE, Deployment.PRO),
        ("base", "0xf0a1b566B55e0A0CB5BeF52Eb2a57142617Bee67", ContractKind.EXECUTOR, Deployment.STABLE),
        ("monad", "0xACeA761c27A909d4D3895128EBe6370FDE2dF481", ContractKind.LAZER, Deployment.STABLE),
    ],
)
def test_an_address_means_what_its_chain_says(chain: str, address: str, kind: ContractKind, deployment: Deployment) -> None:
    place = registry.chain(chain)
    assert place is not None
    found = registry.contract_at(place.chain_id, address)
    assert found is not None
    assert (found.chain.name, found.kind, found.deployment) == (chain, kind, deployment)
    assert found.source
    assert found in registry.contracts(place.chain_id)


def test_a_chain_may_have_two_contracts_of_one_kind() -> None:
    assert len(registry.contracts(11_155_111, ContractKind.PYTH, Deployment.STABLE)) == 2
    assert registry.contract_at(1, "0x" + "00" * 20) is None
    with pytest.raises(ValueError, match="not an address"):
        registry.contract_at(1, "0x00")
