"""Playbooks of the collection, run from the centre of a fleet as an operator runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.fleet.hosts import CENTRE, ROOT, Fleet, ssh_options, within

ALIVE: Final = "-o ServerAliveInterval=2 -o ServerAliveCountMax=3"
"""A host that is gone is told of after six seconds, and not when TCP gives up; the example inventory has the same."""


@dataclass(frozen=True)
class Played:
    """What a playbook ended with. ``changed`` and ``failed`` by host, from its recap."""

    code: int
    output: str
    seconds: float = 0.0

    @property
    def changed(self) -> dict[str, int]:
        return self._recap("changed")

    @property
    def failed(self) -> dict[str, int]:
        return self._recap("failed")

    def skipped(self, task: str) -> bool:
        """Whether a task of this name, or one that begins so, was there and every host skipped it."""
        told = re.findall(rf"^TASK \[\S+ : {re.escape(task)}[^\n]*\n(.*?)\n\n", self.output, re.MULTILINE | re.DOTALL)
        return bool(told) and all(line.startswith("skipping:") for text in told for line in text.splitlines())

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

    def play(self, name: str, *options: str, at: tuple[str, Callable[[], None]] | None = None, **more: Any) -> Played:
        """Run ``probekit.fleet.<name>``. ``more`` are variables of this run, before those of the inventory; ``at`` is a task's
        name, and what to do once it begins.
        """
        inventory = self._work / "inventory.yml"
        inventory.write_text(json.dumps(self._inventory(more)))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), f"probekit.fleet.{name}", *options]
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(self._work / "collections"),
            "ANSIBLE_HOME": str(self._work / "ansible-home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            # By default a connection is named by host, port and user alone: another fleet of this machine has the same.
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._work / "cp"),
            "ANSIBLE_SSH_ARGS": f"-o ControlMaster=auto -o ControlPersist=60s {ALIVE}",
            "PYTHONUNBUFFERED": "1",
        }
        lines: list[str] = []
        began = time.monotonic()
        with subprocess.Popen(
            within(CENTRE, *command), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            late = threading.Timer(300, process.kill)
            late.start()
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if at is not None and line.startswith("TASK [") and at[0] in line:
                    at[1]()
                    at = None
            code = process.wait()
            late.cancel()
        assert at is None, f"no task {at[0]}:\n{''.join(lines)}"
        return Played(code, "".join(lines), time.monotonic() - began)

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
