"""Hosts with a systemd and an sshd of their own: one Debian tree, an overlay per host, ``systemd-nspawn`` in its own network.

A host's network is a namespace on the switch of ``tests.fleet.switch``; nothing of it is seen by the machine, and nothing leads
out. What stands at the centre (Ansible, a collector, stores) runs in the namespace ``CENTRE``; what probes look at can stand in
``TARGET``, which is still there for a host that is cut from the centre. All names begin with this process's number: two runs on
one machine do not meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SUITE: Final = "bookworm"
PACKAGES: Final = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",
    "ca-certificates",
    "iproute2",
    "procps",
    "sudo",
)
PREFIX: Final = f"pk{os.getpid()}-"
CENTRE: Final = f"{PREFIX}centre"
CENTRE_ADDRESS: Final = "10.77.0.1"
TARGET: Final = f"{PREFIX}target"
TARGET_ADDRESS: Final = "10.77.0.250"
HOSTS: Final = ("eu", "us", "ap")
_PROGRAMS: Final = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
_CONTROLLERS: Final = ("systemd", "memory", "pids", "cpu", "cpuacct", "unified")
_UP_WITHIN_S: Final = 60.0


def lacking() -> str | None:
    """Why no host can run here; ``None`` where they can. In CI what Debian has is installed."""
    if os.geteuid() != 0:
        return "systemd hosts need root"
    if not Path("/dev/net/tun").exists():
        return "systemd hosts need /dev/net/tun"
    missing = _missing()
    if missing and os.environ.get("CI") and shutil.which("apt-get"):
        run("apt-get", "-qq", "update")
        run("apt-get", "-qq", "install", "--yes", "--no-install-recommends", *missing)
        missing = _missing()
    if missing:
        return f"systemd hosts need the packages {' '.join(missing)}"
    if subprocess.run(["unshare", "--net", "--mount", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        return "systemd hosts need namespaces, and this process may make none"
    return None


def _missing() -> list[str]:
    return sorted({package for program, package in _PROGRAMS.items() if shutil.which(program) is None})


def tree(cache: Path) -> Path:
    """The Debian tree that all hosts stand on, built once for its list of packages."""
    key = hashlib.sha256(repr((SUITE, PACKAGES)).encode()).hexdigest()[:12]
    made = cache / f"tree-{key}"
    if made.is_dir():
        return made
    cache.mkdir(parents=True, exist_ok=True)
    building = cache / f"tree-{key}.{os.getpid()}"
    include = ",".join(PACKAGES)
    try:
        run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={include}", SUITE, str(building))
        building.rename(made)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return made


def run(*command: str, **options: object) -> str:
    """Output of a command that must succeed; its words in the error where it does not."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-8000:]}")
    return str(done.stdout)


def within(namespace: str, *command: str) -> tuple[str, ...]:
    """A command in a namespace's network."""
    return ("ip", "netns", "exec", namespace, *command)


@dataclass
class Host:
    """One host. ``root`` is its file system as seen from here."""

    name: str
    address: str
    folder: Path
    key: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def namespace(self) -> str:
        return f"{PREFIX}{self.name}"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def ssh(self, *command: str, check: bool = True, origin: str = CENTRE) -> str:
        """Run a command there, from the centre or another namespace: words, or one text for its shell."""
        line = command[0] if len(command) == 1 else shlex.join(command)
        ssh = within(origin, "ssh", *ssh_options(self.key), f"root@{self.address}", line)
        done = subprocess.run(ssh, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"{self.name}: {' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def shown(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit, as systemd has them."""
        told = self.ssh("systemctl", "show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in told.splitlines())

    def trust(self, authority: bytes) -> None:
        """One more authority that this host's programs believe, as an operator adds it."""
        (self.root / "usr/local/share/ca-certificates/tests.crt").write_bytes(authority)
        self.ssh("update-ca-certificates")

    def start(self, lower: Path) -> None:
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={lower},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}"
        run("mount", "-t", "overlay", self.namespace, "-o", layers, str(self.root))
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        keys = self.root / "root/.ssh"
        keys.mkdir(mode=0o700, exist_ok=True)
        (keys / "authorized_keys").write_text(self.key.with_suffix(".pub").read_text())
        command = ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}", f"--machine={PREFIX}{self.name}"]
        command += ["--register=no", "--keep-unit", f"--network-namespace-path=/run/netns/{self.namespace}"]
        command += ["--resolv-conf=off", "--console=read-only"]
        with (self.folder / "console.log").open("wb") as console:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, preexec_fn=self._own_cgroup
            )

    def _own_cgroup(self) -> None:
        # Hosts that share the cgroup of this process would stop each other's services.
        for group in self._cgroups():
            group.mkdir(exist_ok=True)
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def _cgroups(self) -> list[Path]:
        return [Path("/sys/fs/cgroup", one, self.namespace) for one in _CONTROLLERS if Path("/sys/fs/cgroup", one).is_dir()]

    def up(self) -> None:
        """Wait until its systemd is up and its sshd answers."""
        deadline = time.monotonic() + _UP_WITHIN_S
        while True:
            done = self.ssh("systemctl", "is-system-running", check=False).strip()
            if done in ("running", "degraded"):
                return
            if time.monotonic() > deadline:
                console = (self.folder / "console.log").read_text(errors="replace")
                raise AssertionError(f"{self.name} is not up ({done or 'no answer'}):\n{console[-4000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Power it off; by force where it does not go."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        subprocess.run(["umount", "--lazy", str(self.root)], check=False, stderr=subprocess.DEVNULL)
        for group in self._cgroups():
            _remove_cgroup(group)


def _remove_cgroup(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _until_empty(groups: Sequence[Path]) -> None:
    """Processes that were killed stay in their groups until they are gone, and a group until it is empty."""
    deadline = time.monotonic() + 10
    while any(file.read_text() for group in groups for file in group.rglob("cgroup.procs")) and time.monotonic() < deadline:
        time.sleep(0.05)


def sweep() -> None:
    """End what a killed run left: processes, namespaces, control groups and mounts, by the number in their names."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout.split()
    groups = [group for one in _CONTROLLERS for group in Path("/sys/fs/cgroup", one).glob("pk*-*")]
    for name in {*listed, *(group.name for group in groups)}:
        number = re.fullmatch(r"pk(\d+)-\w+", name)
        if number is None or Path("/proc", number[1]).exists():
            continue
        ours = [group for group in groups if group.name == name]
        there = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout.split()
        there += [line for group in ours for file in group.rglob("cgroup.procs") for line in file.read_text().split()]
        for process in map(int, there):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        _until_empty(ours)
        subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
        for group in ours:
            _remove_cgroup(group)
        for mount in map(str.split, Path("/proc/mounts").read_text().splitlines()):
            if mount[0] == name:
                subprocess.run(["umount", "--lazy", mount[1]], check=False, stderr=subprocess.DEVNULL)


def ssh_options(key: Path) -> list[str]:
    """Options of ssh for hosts that are made anew each time."""
    return [
        *("-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5", "-o", "BatchMode=yes"),
    ]


@dataclass
class Fleet:
    """Hosts that are up, and the switch between them."""

    hosts: dict[str, Host]
    key: Path
    switch: subprocess.Popen[str]

    def everywhere(self, *command: str) -> dict[str, str]:
        """What a command says on each host, whatever becomes of it."""
        return {name: host.ssh(*command, check=False).strip() for name, host in self.hosts.items()}

    def link(self, name: str, what: str) -> None:
        """``40``: that many ms to a host, one way; ``cut``: nothing passes; ``cut NAMESPACE``: nothing passes to there."""
        assert self.switch.stdin is not None
        assert self.switch.stdout is not None
        self.switch.stdin.write(f"{self.hosts[name].namespace} {what}\n")
        self.switch.stdin.flush()
        assert self.switch.stdout.readline() == "DONE\n"


@contextlib.contextmanager
def fleet(names: Sequence[str], cache: Path, work: Path) -> Iterator[Fleet]:
    """Hosts of these names; everything is taken down again, also of a run before this one that could not."""
    sweep()
    lower = tree(cache)
    key = work / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    hosts = {name: Host(name, f"10.77.0.{number}", work / name, key) for number, name in enumerate(names, start=2)}
    namespaces = {CENTRE: CENTRE_ADDRESS, TARGET: TARGET_ADDRESS, **{host.namespace: host.address for host in hosts.values()}}
    with contextlib.ExitStack() as stack:
        for namespace in namespaces:
            run("ip", "netns", "add", namespace)
            stack.callback(subprocess.run, ["ip", "netns", "del", namespace], check=False)
        switch = stack.enter_context(_switch(list(namespaces)))
        for namespace, address in namespaces.items():
            run("ip", "-n", namespace, "link", "set", "lo", "up")
            run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", namespace, "link", "set", "eth0", "up")
        for host in hosts.values():
            stack.callback(host.stop)
            host.start(lower)
        for host in hosts.values():
            host.up()
        yield Fleet(hosts, key, switch)


@contextlib.contextmanager
def sandbox(namespace: str, *options: str) -> Iterator[None]:
    """The sandbox Hermes on port 8080 of a namespace."""
    command = within(namespace, sys.executable, "-m", "probekit.dev.hermes", "--host", "0.0.0.0", "--port", "8080", *options)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def _switch(namespaces: list[str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.fleet.switch", *namespaces]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "READY\n":
                raise AssertionError("the switch did not start")
            yield process
        finally:
            process.stdin.close()
            process.wait(10)
