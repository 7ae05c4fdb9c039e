"""Each extra alone, in a venv of its own: the wheel installs with it, what it promises imports, and the probes that need it
run. By ``make extras``; names of extras after the command leave out the others, and the probes that need those.

Versions are those of requirements/dev.txt where it has them, so that what is tested is what is locked.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import yaml

from probekit.manifest import list_probes, load_probe
from probekit.manifest.discovery import SEARCH_VARIABLE, Found, catalogue

ROOT = Path(__file__).resolve().parents[2]

PROMISES: dict[str, str] = {
    "": "import probekit as pk; pk.HermesClient; pk.trust.PRO; pk.checks.Freshness; pk.main; import probekit.telemetry",
    "otel": "import probekit.telemetry.otel",
    "otel-grpc": "import grpc, probekit.telemetry.otel",
    "fast": "import uvloop",
    "measure": "import probekit.transports.curl",
    "ws": "import probekit.transports.websocket",
    "evm": "import web3, probekit.clients.web3_pool, probekit.transports.websocket",
    "solana": "import solders, solana, probekit.transports.websocket",
    "lazer": "import cryptography, probekit.clients.lazer, probekit.transports.websocket",
    "tls": "import cryptography.x509.verification",
    "dns": "import dns.asyncresolver",
    "grpc": "import grpc.aio, grpc_health.v1.health_pb2",
    "kubernetes": "import lightkube",
    "agent": "import pydantic, starlette, uvicorn",
    "dev": "import probekit.dev.server, uvicorn",
    "cli": "import rich",
    "all": "import web3, solders, pycurl, grpc, uvloop, rich, lightkube, probekit.telemetry.otel, probekit.transports.curl",
}

PLACE = re.compile(
    r"(?P<scheme>\b(?:https?|wss?)://)[^/\s\"',}\]]+|(?<![\w./:-])(?:[\w-]+\.)+[\w-]+:\d+\b|(?P<address>(?<![\w.])(?:\d+\.){3}\d+(?![\w.]))"
)
"""A URL's host, a host with a port, or an address alone."""

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: none, user: {}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
current-context: none
"""

LACKING = """
import importlib
from probekit.errors import ConfigError
for module, package in {
    "probekit.transports.curl": "pycurl", "probekit.transports.websocket": "websockets",
    "probekit.clients.web3_pool": "web3", "probekit.trust.certificates": "cryptography", "probekit.dev.svm": "solders",
}.items():
    try:
        importlib.import_module(module)
    except ConfigError as error:
        assert f"'{package}" in error.message, error.message
    else:
        raise AssertionError(f"{module} is there without its extra")
"""
"""In the base install each feature that lacks its packages names them, by the wheel's own metadata."""


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT)


def dead(text: str, ports: Iterator[int]) -> str:
    """``text`` with every URL, ``host:port`` and address in it on this host, where nobody listens; each another."""

    def nobody(match: re.Match[str]) -> str:
        number = next(ports)
        return f"127.0.0.{number}" if match["address"] else f"{match['scheme'] or ''}127.0.0.1:{number}"

    return PLACE.sub(nobody, text)


def without_endpoints(found: Found) -> str:
    """A probe's ready manifest, and what its options default to, with nobody at any endpoint.

    Those of exchanges are no option.
    """
    assert found.manifest is not None
    ports = itertools.count(9)
    manifest = yaml.safe_load(dead(found.manifest.read_text(), ports))
    options = manifest.setdefault("options", {}) or {}
    for one in msgspec.structs.fields(load_probe(found).options):
        value = () if one.default is msgspec.NODEFAULT else one.default
        if one.name not in options and isinstance(value, str | tuple) and "://" in str(value):
            options[one.name] = dead(value, ports) if isinstance(value, str) else [dead(each, ports) for each in value]
    return yaml.safe_dump({**manifest, "options": options})


def venv_of(found: Found, work: Path) -> Path:
    """The smallest of the venvs that a probe runs in."""
    needs = load_probe(found).needs
    return work / f"venv-{'base' if not needs else needs[0] if len(needs) == 1 else 'all'}"


def against_nothing(found: Found, work: Path) -> list[str]:
    """Run and explain a probe outside a checkout, from the wheel with no more than the extras it needs. Its name if it fails.

    Where nobody answers, the verdict is UNKNOWN or CRITICAL; where something else is wrong, there is none, or a traceback.
    """
    venv = venv_of(found, work)
    manifest = work / f"{found.name}.yaml"
    manifest.write_text(without_endpoints(found))
    wrong = []

    def probekit(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(venv / "bin" / "probekit"), *arguments]
        environment = {**os.environ, "KUBECONFIG": str(work / "kubeconfig")}
        return subprocess.run(command, cwd=work, env=environment, check=False, capture_output=True, text=True, timeout=180)

    done = probekit("run", found.name, "--once", "--config", str(manifest))
    if done.returncode not in (2, 3) or not done.stdout.startswith(f"{found.name}: ") or "Traceback" in done.stderr:
        wrong.append(f"run: exit {done.returncode}")
    if " config: " in done.stdout or "probe_error" in done.stdout:
        wrong.append("run: a verdict of its own fault")
    told = probekit("explain", found.name)
    runbook = re.search(r"^runbook   (.+)$", told.stdout, re.MULTILINE)
    if told.returncode or runbook is None or venv not in Path(runbook[1]).parents or not Path(runbook[1]).is_file():
        wrong.append("explain: no runbook")
    said = done.stdout.partition("\n")[0]
    print(
        f"{'FAILED' if wrong else 'ok':6} {found.name} from the wheel, in {venv.name}: {', '.join(wrong) or said}", flush=True
    )
    if wrong:
        print(done.stdout[-2000:], done.stderr[-2000:], told.stdout[:500], told.stderr[-500:])
    return [found.name] if wrong else []


def alone(extra: str, wheel: Path, work: Path) -> list[str]:
    """Install the wheel with one extra and import what it promises. Its name if that fails."""
    venv = work / f"venv-{extra or 'base'}"
    run(sys.executable, "-m", "venv", venv)
    target = f"{wheel}[{extra}]" if extra else str(wheel)
    python = venv / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "-c", work / "constraints.txt", target)
    done = subprocess.run([str(python), "-c", PROMISES[extra]], cwd=work, check=False)
    print(f"{'FAILED' if done.returncode else 'ok':6} probekit[{extra}]: {PROMISES[extra]}", flush=True)
    return [extra] if done.returncode else []


def main() -> int:
    """Build the wheel once, then one venv per extra."""
    failed: list[str] = []
    for name in ("PYTHONPATH", SEARCH_VARIABLE):
        # The wheel is what is tested, not the checkout.
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", work, ".")
        (wheel,) = work.glob("probekit-*.whl")
        lines = (ROOT / "requirements/dev.txt").read_text().splitlines()
        pinned = [line.partition(" ")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))]
        (work / "constraints.txt").write_text("\n".join(pinned) + "\n")
        wanted = [extra for extra in PROMISES if not extra or len(sys.argv) < 2 or extra in sys.argv[1:]]
        # Each waits for packages half of its time, and works on its own the other half.
        with ThreadPoolExecutor(os.cpu_count()) as at_once:
            failed += itertools.chain.from_iterable(at_once.map(lambda extra: alone(extra, wheel, work), wanted))
        done = subprocess.run([str(work / "venv-base" / "bin" / "python"), "-c", LACKING], cwd=work, check=False)
        print(f"{'ok' if done.returncode == 0 else 'FAILED':6} what a missing extra says", flush=True)
        if done.returncode:
            failed.append("sentences")
        (work / "kubeconfig").write_text(KUBECONFIG)
        probes = [found for found in list_probes((catalogue(),)) if venv_of(found, work).is_dir()]
        with ThreadPoolExecutor(os.cpu_count()) as at_once:
            failed += itertools.chain.from_iterable(at_once.map(lambda found: against_nothing(found, work), probes))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
