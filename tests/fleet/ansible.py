"""Playbooks of the collection, run from the centre of a fleet as an operator runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fleet.hosts import CENTRE, ROOT, Fleet, ssh_options, within


@dataclass(frozen=True)
class Played:
    """What a playbook ended with. ``changed`` and ``failed`` by host, from its recap."""

    code: int
    output: str

    @property
    def changed(self) -> dict[str, int]:
        return self._recap("changed")

    @property
    def failed(self) -> dict[str, int]:
        return self._recap("failed")

    def _recap(self, word: str) -> dict[str, int]:
        found = re.findall(rf"^(\S+) +: ok=\d+ .*?{word}=(\d+)", self.output, re.MULTILINE)
        return {host: int(number) for host, number in found}


class Operator:
    """Someone with the collection, an inventory and the key of the hosts. ``variables`` are those of every host."""

    def __init__(self, fleet: Fleet, work: Path, variables: Mapping[str, Any]) -> None:
        self._fleet = fleet
        self._work = work
        self.variables = dict(variables)
        collections = work / "collections/ansible_collections/probekit"
        collections.mkdir(parents=True)
        (collections / "fleet").symlink_to(ROOT / "ansible")

    def play(self, name: str, *options: str, **more: Any) -> Played:
        """Run ``probekit.fleet.<name>``. ``more`` are variables of this run, before those of the inventory."""
        inventory = self._work / "inventory.yml"
        inventory.write_text(json.dumps(self._inventory(more)))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), f"probekit.fleet.{name}", *options]
        done = subprocess.run(
            within(CENTRE, *command),
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(self._work / "collections"),
                "ANSIBLE_HOME": str(self._work / "ansible-home"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PIPELINING": "1",
                "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s",
                # Connections are kept by address, and another run's hosts have the same: it would be played on those.
                "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._work / "cp"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        return Played(done.returncode, done.stdout)

    def _inventory(self, more: Mapping[str, Any]) -> dict[str, Any]:
        hosts = {
            host.name: {"ansible_host": host.address, "probe_region": f"{host.name}-1"} for host in self._fleet.hosts.values()
        }
        variables = {
            "ansible_user": "root",
            "ansible_ssh_common_args": " ".join(ssh_options(self._fleet.key)),
            "ansible_python_interpreter": "/usr/bin/python3",
            **self.variables,
            **more,
        }
        return {"probes": {"hosts": hosts, "vars": variables}}
