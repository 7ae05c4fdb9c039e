"""What a run of these tests leaves on the machine that it ran on, however it ended: nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.hosts import ROOT, lacking, sweep
from tests.fleet.waiting import refused

pytestmark = [pytest.mark.system, pytest.mark.fleet, pytest.mark.timeout(300)]

ONE_HOST = """
import sys
from pathlib import Path
from tests.fleet.hosts import ROOT, fleet

with fleet(("one",), ROOT / "build" / "fleet", Path(sys.argv[1])) as made:
    print(made.hosts["one"].ssh("hostname").strip(), flush=True)
    sys.stdin.read()
"""


def left_by(number: int) -> set[str]:
    """Network namespaces, control groups, mounts and processes that carry the number of a run in their names."""
    name = f"pk{number}-"
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    groups = (str(group) for group in Path("/sys/fs/cgroup").glob(f"*/{name}*"))
    mounts = (line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.startswith(name))
    processes = subprocess.run(["pgrep", "--list-full", "--full", name], capture_output=True, text=True, check=False).stdout
    return {space for space in spaces if space.startswith(name)} | set(groups) | set(mounts) | set(processes.splitlines())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_hosts_are_taken_down_when_a_run_is_interrupted_and_by_the_next_when_it_is_killed(
    how: signal.Signals, tmp_path: Path
) -> None:
    if (reason := lacking()) is not None:
        refused(reason)
    command = [sys.executable, "-c", ONE_HOST, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "one\n"
        assert len(left_by(run.pid)) >= 4
        run.send_signal(how)
        run.wait(60)
    if how is signal.SIGKILL:
        assert left_by(run.pid)
        sweep()
    assert left_by(run.pid) == set()
