"""The example inventory is a fleet that could be deployed: regions with hosts, variables that roles know, units that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from probekit.manifest import list_probes, load_probe, read_manifest
from tests.docs.roles import specification

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "ansible" / "inventories" / "example"
HOSTS: dict[str, Any] = yaml.safe_load((EXAMPLE / "hosts.yml").read_text())["probes"]["children"]
VARIABLES: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in (EXAMPLE / "group_vars").glob("*.yml")
}


def test_three_regions_have_several_hosts_and_variables_of_their_own() -> None:
    assert len(HOSTS) == 3
    assert all(len(region["hosts"]) > 1 for region in HOSTS.values())
    assert len({VARIABLES[name]["probe_region"] for name in HOSTS}) == 3


def test_its_variables_of_roles_are_such() -> None:
    known = set(specification("probe")) | set(specification("collector"))
    given = {name for variables in VARIABLES.values() for name in variables}
    own = {"ansible_user", "ansible_ssh_common_args", "units_everywhere", "units_here"}
    assert given - known == own


@pytest.mark.parametrize("role", ["probe", "collector"])
def test_what_a_role_tells_of_its_defaults_is_what_it_uses(role: str) -> None:
    told = {name: one["default"] for name, one in specification(role).items() if not one.get("required")}
    assert yaml.safe_load((ROOT / "ansible" / "roles" / role / "defaults" / "main.yml").read_text()) == told


UNITS = [
    unit for variables in VARIABLES.values() for key in ("units_everywhere", "units_here") for unit in variables.get(key, [])
]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit["name"])
def test_its_units_run_probes_of_the_catalogue_by_manifests_that_are_read(unit: dict[str, Any]) -> None:
    found = {one.name: one for one in list_probes([ROOT / "probes"])}[unit.get("probe", unit["name"])]
    path = Path(unit["manifest"].replace("{{ inventory_dir }}", str(EXAMPLE))).resolve()
    manifest = read_manifest(load_probe(found), path)
    # The role's watchdog is two minutes where a unit names none.
    assert 2 * manifest.interval.total_seconds() < 120
