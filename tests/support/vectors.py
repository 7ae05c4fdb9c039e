"""Real bytes with their expected decode, where ``PROBEKIT_VECTORS`` names their folder; nothing where it does not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

KNOWN_KINDS = frozenset(
    {
        "accumulator_update",
        "evm_log_price_feed_update",
        "governance_payload",
        "governance_vaa",
        "vaa",
        "guardian_set_upgrade_vaa",
        "guardian_set_vaa",
        "hermes_latest_json",
        "lazer_evm_update",
        "lazer_json",
        "lazer_le_ecdsa_update",
        "lazer_payload",
        "lazer_solana_storage",
        "lazer_solana_update",
        "lazer_symbol_json",
        "market_schedule",
        "pythnet_account_header",
        "pythnet_mapping_account",
        "pythnet_price_account",
        "pythnet_price_component",
        "pythnet_price_info",
        "pythnet_product_account",
        "solana_price_update_v2",
        "solana_push_feed_pda",
    }
)
"""Kinds this release decodes."""

LATER_KINDS: frozenset[str] = frozenset()
"""Kinds of later releases: skipped by name. A kind in neither set fails the suite."""


def load() -> list[tuple[str, dict[str, Any]]]:
    """Every vector as (file name, content); empty when there are none here."""
    folder = os.environ.get("PROBEKIT_VECTORS")
    if not folder:
        return []
    return [(path.stem, json.loads(path.read_text())) for path in sorted(Path(folder).glob("*.json"))]


def of_kind(*kinds: str) -> list[Any]:
    """Parameters for the vectors of some kinds; one skipped parameter, with its reason, where there are none."""
    found = [pytest.param(content, id=name) for name, content in load() if content["kind"] in kinds]
    reason = "PROBEKIT_VECTORS names no folder with vectors of this kind"
    return found or [pytest.param(None, id="none", marks=pytest.mark.skip(reason=reason))]
