"""A run as JSON: the one encoding that files, ``--json`` and tools share. See ``docs/reference/run-json.md``."""

from __future__ import annotations

import msgspec

from probekit.model import ProbeRun

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(ProbeRun)


def encode_run(run: ProbeRun) -> bytes:
    """One line of JSON. Descriptions of feeds stay out: a target's id and label identify it."""
    results = tuple(
        msgspec.structs.replace(result, target=msgspec.structs.replace(result.target, feed=None)) for result in run.results
    )
    return _ENCODER.encode(msgspec.structs.replace(run, results=results))


def decode_run(line: bytes) -> ProbeRun:
    """The run of a line. Raises ``msgspec.DecodeError``."""
    return _DECODER.decode(line)
