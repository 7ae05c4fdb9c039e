"""Each extra alone, in a venv of its own: the wheel installs with it, and what it promises imports. Run by ``make extras``.

Versions are those of requirements/dev.txt where it has them, so that what is tested is what is locked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

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

LACKING = """
import importlib
from probekit.errors import ConfigError
for module, package in {
    "probekit.transports.curl": "pycurl", "probekit.transports.websocket": "websockets",
    "probekit.clients.web3_pool": "web3", "probekit.dev.svm": "solders",
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


def main() -> int:
    """Build the wheel once, then one venv per extra."""
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", work, ".")
        (wheel,) = work.glob("probekit-*.whl")
        constraints = work / "constraints.txt"
        lines = (ROOT / "requirements/dev.txt").read_text().splitlines()
        pinned = [line.partition(" ")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))]
        constraints.write_text("\n".join(pinned) + "\n")
        for extra, promise in PROMISES.items():
            venv = work / f"venv-{extra or 'base'}"
            run(sys.executable, "-m", "venv", venv)
            target = f"{wheel}[{extra}]" if extra else str(wheel)
            python = venv / "bin" / "python"
            run(python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "-c", constraints, target)
            done = subprocess.run([str(python), "-c", promise], cwd=work, check=False)
            print(f"{'ok' if done.returncode == 0 else 'FAILED':6} probekit[{extra}]: {promise}", flush=True)
            if done.returncode:
                failed.append(extra)
        done = subprocess.run([str(work / "venv-base" / "bin" / "python"), "-c", LACKING], cwd=work, check=False)
        print(f"{'ok' if done.returncode == 0 else 'FAILED':6} what a missing extra says", flush=True)
        if done.returncode:
            failed.append("sentences")
        base = work / "venv-measure" / "bin" / "probekit"
        for name in ("hermes_freshness", "hermes_proof", "hermes_agreement", "hermes_latency"):
            # Outside a checkout the wheel's own catalogue answers; with no such endpoint the verdict is UNKNOWN or CRITICAL.
            endpoint = (
                "endpoints=[http://127.0.0.1:9, http://127.0.0.1:10]"
                if name == "hermes_agreement"
                else "endpoint=http://127.0.0.1:9"
            )
            done = subprocess.run(
                [str(base), "run", name, "--once", "--set", endpoint], cwd=work, check=False, capture_output=True
            )
            good = done.returncode in (2, 3) and name.encode() in done.stdout
            print(f"{'ok' if good else 'FAILED':6} probekit run {name} from the wheel: exit {done.returncode}", flush=True)
            if not good:
                failed.append(name)
                print(done.stderr.decode()[-2000:])
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
