"""What is taken from three deployed hosts again: a unit, old releases, everything. Last: nothing runs after it."""

from __future__ import annotations

import re

import pytest

from tests.fleet.deployment import UNIT, WITHOUT_COLLECTOR, Deployed
from tests.fleet.hosts import HOSTS

pytestmark = [pytest.mark.system, pytest.mark.fleet, pytest.mark.timeout(900)]


def test_a_unit_that_is_no_longer_wanted_goes_with_old_releases_and_what_was_its_own(deployed: Deployed) -> None:
    """On one host, which is enough to be told, and quicker; another is away from the start, and stops it no more."""
    eu = deployed.fleet.hosts["eu"]
    wanted = {**deployed.operator.variables["probe_units"][-1], "name": "second"}
    before = eu.ssh("readlink", "/opt/probekit/current")
    # Of a deployment in which it had one more; and what an operator wrote for all instances is not a unit of that name.
    eu.ssh("install -D --mode=600 /dev/null /etc/probekit/credentials/second/old_key")
    eu.ssh("mkdir /etc/systemd/system/probekit-probe@.service.d")
    deployed.fleet.link("us", "cut")
    # A number as text, as `-e probe_keep_releases=1` gives it.
    other = {"probe_units": [wanted], "probe_keep_releases": "1", **WITHOUT_COLLECTOR}
    played = deployed.operator.play("site", "--limit", "eu,us", **other)
    deployed.fleet.link("us", "0")
    assert played.failed == {"eu": 0, "us": 0}, played.output
    assert re.search(r"^us +: ok=0 .* unreachable=1 ", played.output, re.MULTILINE), played.output
    assert eu.shown(UNIT, "ActiveState") == {"ActiveState": "inactive"}
    assert eu.shown("probekit-probe@second.service", "ActiveState") == {"ActiveState": "active"}
    assert eu.ssh("find /etc/probekit/credentials -mindepth 1 -printf '%P '").split() == ["second", "second/hermes_key"]
    assert eu.ssh("readlink", "/opt/probekit/current") != before
    assert eu.ssh("ls", "/opt/probekit/releases") == eu.ssh("basename $(readlink /opt/probekit/current)")
    eu.ssh("rmdir /etc/systemd/system/probekit-probe@.service.d")


def test_nothing_is_left_after_decommission(deployed: Deployed) -> None:
    played = deployed.operator.play("decommission")
    assert played.code == 0, played.output
    left = deployed.everywhere(
        "find / /run -xdev \\( -name '*probekit*' -o -nouser -o -nogroup \\) -print; "
        "for kind in passwd group; do getent $kind probekit probekit-collector; done; echo told"
    )
    assert left == dict.fromkeys(HOSTS, "told")
    assert set(deployed.everywhere("systemctl", "list-units", "--all", "--no-legend", "probekit*").values()) == {""}
    again = deployed.operator.play("decommission", "--limit", "eu")
    assert again.code == 0, again.output
    assert again.changed == {"eu": 0}
