"""Prints the reference pages made from code: ``python -m probekit.telemetry.reference [metrics|environment|run-json]``.

A test holds the files under ``docs/reference/`` to what this prints.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from probekit.errors import ERROR_TYPES
from probekit.model import ProbeRun
from probekit.telemetry.names import ATTRIBUTES, EVENTS, METRICS, SPANS, MetricName
from probekit.telemetry.slots import DEFAULT_LIMIT
from probekit.telemetry.variables import HONOURED, NOT_HONOURED


def metrics_page() -> str:
    """``docs/reference/metrics.md``."""
    edges = {metric.name: metric.edges for metric in METRICS if metric.edges}
    return "\n".join(
        (
            "# Metrics, spans, events and attributes",
            "",
            "Generated from `probekit.telemetry.names` by `python -m probekit.telemetry.reference metrics`.",
            "",
            "Durations are in seconds and ratios in basis points; the unit is metadata of a metric, not part of its name.",
            "A metric or attribute marked *stable* is renamed only after a release in which both names are sent;",
            "*semconv* names follow OpenTelemetry's semantic conventions and their stability.",
            "",
            "## Metrics",
            "",
            *_table(("name", "kind", "unit", "attributes", "meaning", "stability"), map(_metric_row, METRICS)),
            "",
            "**Kinds.** A *state* has one point per status, 1 for the present one and 0 for the others (a sum that is not",
            "monotonic; Prometheus sees a gauge). Counters and states exist from the first second, at zero; a gauge has no",
            "point while nothing was measured, and a state is all zeros while nothing was judged: what the last run did not",
            "say is not repeated. The series of a target that is no longer watched expire.",
            "",
            f"**Cardinality.** A metric keeps at most {DEFAULT_LIMIT:,} attribute sets (a state's five points are one set;",
            "`PROBEKIT_METRIC_CARDINALITY_LIMIT` changes it). Measurements beyond are folded into one series with",
            "`otel.metric.overflow=true` and counted by `probekit.telemetry.overflow`. Folded counters and histograms add up;",
            "of a folded gauge or state only the last value is left.",
            "",
            "**Exemplars.** Histograms of runs, requests, calls and `probekit.latency` carry the newest trace per bucket",
            "(`OTEL_METRICS_EXEMPLAR_FILTER`).",
            "",
            "### Histogram edges (s)",
            "",
            *_table(("name", "edges"), ((f"`{name}`", ", ".join(f"{e:g}" for e in values)) for name, values in edges.items())),
            "",
            "Exponential instead with",
            "`OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=base2_exponential_bucket_histogram`.",
            "",
            "## Spans",
            "",
            *_table(
                ("name", "kind", "meaning", "stability"),
                ((f"`{span.name}`", span.kind, span.description, span.stability) for span in SPANS),
            ),
            "",
            "## Events (log records)",
            "",
            *_table(("event name", "meaning"), ((f"`{name}`", meaning) for name, meaning in EVENTS.items())),
            "",
            "## Attributes",
            "",
            *_table(
                ("name", "type", "meaning", "stability"),
                ((f"`{one.name}`", one.type, one.description, one.stability) for one in ATTRIBUTES),
            ),
            "",
        )
    )


def environment_page() -> str:
    """``docs/reference/environment.md``."""
    return "\n".join(
        (
            "# Environment variables of telemetry",
            "",
            "Generated from `probekit.telemetry.variables` by `python -m probekit.telemetry.reference environment`.",
            "",
            "Telemetry is on when an endpoint is named, when an `OTEL_*_EXPORTER` is `otlp`, or with `--otlp`.",
            "A value that cannot be used stops the start with one sentence and exit code 3, where the specification would have",
            "it ignored: a monitor that silently reports nowhere is worse than one that does not start.",
            "",
            "## Honoured",
            "",
            *_table(
                ("variable", "default", "meaning"),
                (
                    (
                        f"`{one.name}`" + (" (+)" if one.per_signal else ""),
                        one.default or "-",
                        one.description,
                    )
                    for one in HONOURED
                ),
            ),
            "",
            "(+) also per signal, which wins: `OTEL_EXPORTER_OTLP_TRACES_...`, `_METRICS_...`, `_LOGS_...`.",
            "",
            "## Not honoured",
            "",
            *_table(("variable", "why"), ((f"`{name}`", why) for name, why in NOT_HONOURED.items())),
            "",
            "## Trusted authorities",
            "",
            "Not of telemetry alone: probes and clients, with either engine and over WebSockets, read the same two.",
            "",
            *_table(
                ("variable", "meaning"),
                (
                    ("`SSL_CERT_FILE`", "file of certificates to trust, PEM"),
                    (
                        "`SSL_CERT_DIR`",
                        "folder of certificates to trust, or several separated as in `PATH`; their names are hashes, as "
                        "`openssl rehash` makes them",
                    ),
                ),
            ),
            "",
            "What they name is trusted and nothing beside it; with both, either may vouch for a server. One that is not there",
            "stops the start. Without them it is the system's bundle, else certifi's. A `ca_file` given in code wins.",
            "",
            "## Delivery",
            "",
            "Runs are encoded and sent by threads of their own; a probe never waits for them. Requests that fail with 429,",
            "502, 503, 504, a refused or broken connection, or gRPC's CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE,",
            "UNAVAILABLE, DATA_LOSS (RESOURCE_EXHAUSTED only with a RetryInfo) are sent again after what `Retry-After` or",
            "RetryInfo says, else after 0.5 s, doubled up to 10 s, for five minutes. Meanwhile the queue and 16 MB are",
            "kept per signal; beyond that the oldest are dropped. Anything else is dropped at once. What a receiver rejects",
            "in a partial success is never sent again. At the end at most five seconds are spent on what is left.",
            "",
            "Delivery is at least once: an answer that got lost makes the same request go out twice.",
            "",
            "`probekit.telemetry.exported`, `.rejected`, `.dropped` (by reason) and `.retried` count all of it by signal, and",
            'the last line of a `--record` file says the same at the end: `{"telemetry": {"traces": {"handed": ...}}}`, where',
            "`handed` is the sum of exported, rejected and dropped.",
            "",
        )
    )


def run_json_page() -> str:
    """``docs/reference/run-json.md``."""
    schema = msgspec.json.schema(ProbeRun, schema_hook=_as_string)
    lines = [
        "# Runs as JSON",
        "",
        "Generated from `probekit.model.ProbeRun` by `python -m probekit.telemetry.reference run-json`.",
        "",
        "`--json` prints one run a line and `--record FILE` appends them to a file; the last line of a finished file with",
        'telemetry is `{"telemetry": {"<signal>": {"handed", "exported", "rejected", "dropped", "retried", "reasons"}}}`.',
        'Instants are `{"ns": <nanoseconds since 1970>}`, durations end in `_ns`, decimals are strings.',
        "A target's status is the worst of its verdicts, a run's that of its targets: critical, unknown, warning, ok, skipped.",
        "Secrets are `[redacted]`; descriptions of feeds are left out.",
        "",
    ]
    definitions: dict[str, Any] = schema["$defs"]
    root = str(schema["$ref"]).rpartition("/")[2]
    shown: list[str] = []
    waiting = [root]
    while waiting:
        name = waiting.pop(0)
        if name in shown or definitions[name].get("type") != "object":
            continue
        shown.append(name)
        definition = definitions[name]
        for field, value in definition["properties"].items():
            if (name, field) not in _LEFT_OUT:
                waiting += _references(value)
        required = definition.get("required", ())
        rows = [
            (f"`{field}`", _type(value, definitions), "yes" if field in required else "no")
            for field, value in definition["properties"].items()
            if (name, field) not in _LEFT_OUT
        ]
        lines += [f"## {name}", "", *_table(("field", "type", "required"), rows), ""]
    lines += ["## Error types", "", ", ".join(f"`{word}`" for word in sorted(ERROR_TYPES)), ""]
    return "\n".join(lines)


_LEFT_OUT: Final = frozenset((("Target", "feed"),))
"""What the encoder leaves out of a line."""


def _as_string(kind: type) -> dict[str, Any]:
    """Types of ours that are encoded as text."""
    return {"type": "string"}


def _references(schema: dict[str, Any]) -> list[str]:
    found = [str(schema["$ref"]).rpartition("/")[2]] if "$ref" in schema else []
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found += _references(schema[key])
    for key in ("anyOf", "prefixItems"):
        for part in schema.get(key, ()):
            found += _references(part)
    return found


def _type(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        target = definitions[name]
        return f"[{name}](#{name.lower()})" if target.get("type") == "object" else _type(target, definitions)
    if "enum" in schema:
        if ERROR_TYPES.issuperset(schema["enum"]) and len(schema["enum"]) == len(ERROR_TYPES):
            return "[error type](#error-types)"
        return ", ".join(f"`{value}`" for value in sorted(schema["enum"], key=str))
    if "anyOf" in schema:
        return " or ".join(_type(part, definitions) for part in schema["anyOf"])
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return "[" + ", ".join(_type(part, definitions) for part in schema["prefixItems"]) + "]"
        return f"array of {_type(schema.get('items') or {}, definitions)}"
    return str(schema.get("type", "any"))


def _metric_row(metric: MetricName) -> tuple[str, ...]:
    attributes = ", ".join(f"`{name}`" for name in metric.attributes)
    return (f"`{metric.name}`", metric.kind, f"`{metric.unit}`", attributes, metric.description, metric.stability)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *body]


PAGES: Final[dict[str, Callable[[], str]]] = {
    "metrics": metrics_page,
    "environment": environment_page,
    "run-json": run_json_page,
}


def main(arguments: Sequence[str]) -> int:
    """Print one page, by default the metrics; exit code 3 for a page that does not exist."""
    name = arguments[0] if arguments else "metrics"
    if name not in PAGES:
        print(f"no page {name}: expected {', '.join(PAGES)}", file=sys.stderr)
        return 3
    sys.stdout.write(PAGES[name]())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
