"""What is taken from three deployed hosts again: a unit, old releases, everything. Last: nothing runs after it."""

from __future__ import annotations

import pytest

from tests.fleet.deployment import UNIT, WITHOUT_COLLECTOR, Deployed
from tests.fleet.hosts import HOSTS

pytestmark = [pytest.mark.system, pytest.mark.fleet, pytest.mark.timeout(900)]


def test_a_unit_that_is_no_longer_wanted_goes_with_old_releases_and_what_was_its_own(deployed: Deployed) -> None:
    wanted = {**deployed.operator.variables["probe_units"][-1], "name": "second"}
    before = deployed.everywhere("readlink", "/opt/probekit/current")
    # Of a deployment in which it had one more.
    deployed.everywhere("install -D --mode=600 /dev/null /etc/probekit/credentials/second/old_key")
    played = deployed.operator.play("site", probe_units=[wanted], probe_keep_releases=1, **WITHOUT_COLLECTOR)
    assert played.code == 0, played.output
    assert deployed.everywhere("systemctl", "is-active", UNIT) == dict.fromkeys(HOSTS, "inactive")
    assert deployed.everywhere("systemctl", "is-active", "probekit-probe@second.service") == dict.fromkeys(HOSTS, "active")
    assert deployed.everywhere("find /etc/probekit/credentials -mindepth 1 -printf '%P '") == dict.fromkeys(
        HOSTS, "second second/hermes_key"
    )
    assert all(now != before[name] for name, now in deployed.everywhere("readlink", "/opt/probekit/current").items())
    current = deployed.everywhere("basename $(readlink /opt/probekit/current)")
    assert deployed.everywhere("ls", "/opt/probekit/releases") == current


def test_nothing_is_left_after_decommission(deployed: Deployed) -> None:
    played = deployed.operator.play("decommission")
    assert played.code == 0, played.output
    left = deployed.everywhere(
        "find / -xdev -name '*probekit*' -not -path '/proc/*' -not -path '/sys/*'; getent passwd probekit probekit-collector"
    )
    assert left == dict.fromkeys(HOSTS, "")
    assert set(deployed.everywhere("systemctl", "list-units", "--all", "--no-legend", "probekit*").values()) == {""}
    again = deployed.operator.play("decommission")
    assert again.code == 0, again.output
    assert again.changed == dict.fromkeys(HOSTS, 0)
