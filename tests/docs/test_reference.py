"""Reference pages are what the code says; every metric, check, key, option and variable has its entry."""

from __future__ import annotations

import argparse
import dataclasses
import re
import tomllib

import opentelemetry.environment_variables as api_variables
import opentelemetry.sdk.environment_variables as sdk_variables
import pytest

from probekit.cli.main import COMMANDS
from probekit.dev import faults, hermes
from probekit.errors import ERROR_TYPES
from probekit.manifest import describe, list_probes, load_probe
from probekit.manifest.discovery import catalogue
from probekit.manifest.options import TYPE_NAMES
from probekit.manifest.read import _KEYS, _VANTAGE_KEYS
from probekit.telemetry.names import ATTRIBUTES, EVENTS, METRICS, SPANS
from probekit.telemetry.variables import HONOURED, NOT_HONOURED
from tests.docs.blocks import PAGES as TEXTS
from tests.docs.reference import DOCS, PAGES, ROOT, check_classes, parser_of, probe_parser

REFERENCE = DOCS / "reference"
NAMES = [
    *(metric.name for metric in METRICS),
    *(attribute.name for attribute in ATTRIBUTES),
    *(span.name for span in SPANS),
    *EVENTS,
]


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_generated_pages_are_what_the_code_says(name: str) -> None:
    assert page(name) == PAGES[name](), "run: python -m tests.docs.reference"


def test_every_name_of_telemetry_has_a_row() -> None:
    text = page("metrics")
    assert all(f"| `{name}` |" in text for name in NAMES)


def test_every_check_has_a_section_with_its_thresholds() -> None:
    text = page("checks")
    assert len(check_classes()) >= 7
    for kind in check_classes():
        section = text.partition(f"\n## {kind.__name__}\n")[2].partition("\n## ")[0]
        assert f"`{kind.name}`" in section
        assert all(f"| `{one.name}` |" in section for one in dataclasses.fields(kind))


def test_every_option_of_every_command_has_a_row() -> None:
    text = page("cli")
    parsers: list[argparse.ArgumentParser] = [probe_parser(), hermes.parser()]
    parsers += [parser for name in COMMANDS if (parser := parser_of(name)) is not None]
    assert len(parsers) >= 6
    for parser in parsers:
        for action in parser._actions:
            if "--help" not in action.option_strings:
                shown = ", ".join(action.option_strings) or action.dest.upper()
                assert re.search(rf"^\| `{re.escape(shown)}[ `]", text, re.MULTILINE), shown
    assert all(f"\n## probekit {name}\n" in text for name in COMMANDS)


def test_every_option_of_every_probe_has_a_row() -> None:
    text = page("probes")
    for found in list_probes((catalogue(),)):
        section = text.partition(f"\n## {found.name}\n")[2].partition("\n## ")[0]
        for option in describe(load_probe(found).options):
            assert f"| `{option.name}` |" in section
            assert option.doc, f"{found.name}.{option.name} says nothing of itself"


def test_the_manifest_page_has_every_key_and_no_other() -> None:
    rows = set(re.findall(r"^\| `([\w.]+)` \|", page("manifest").partition("## Types")[0], re.MULTILINE))
    assert rows == {key for key in _KEYS if key != "vantage"} | {f"vantage.{key}" for key in _VANTAGE_KEYS}


def test_the_manifest_page_has_every_type() -> None:
    rows = dict(re.findall(r"^\| ([a-z ]+) \| ([^|]*) \|", page("manifest").partition("## Types")[2], re.MULTILINE))
    for name, examples in TYPE_NAMES.values():
        if name != "nothing":
            assert name in rows
            assert all(f"`{one}`" in rows[name] for one in examples.split(", ") if any(mark in one for mark in "0123456789:"))


def test_every_extra_is_on_the_page_of_installation() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", (DOCS / "how-to" / "install.md").read_text(), re.MULTILINE)
    assert rows == list(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


def test_every_variable_of_the_sdk_is_honoured_or_said_not_to_be() -> None:
    known = {
        value for module in (api_variables, sdk_variables) for value in vars(module).values()
        if isinstance(value, str) and value.startswith("OTEL_")
    }  # fmt: skip
    assert len(known) > 50
    honoured = {one.name for one in HONOURED}
    for one in HONOURED:
        if one.per_signal:
            rest = one.name.removeprefix("OTEL_EXPORTER_OTLP_")
            honoured |= {f"OTEL_EXPORTER_OTLP_{signal}_{rest}" for signal in ("TRACES", "METRICS", "LOGS")}
    refused = [re.compile(name.strip().replace("*", ".*")) for names in NOT_HONOURED for name in names.split(",")]
    assert [name for name in sorted(known - honoured) if not any(one.fullmatch(name) for one in refused)] == []
    text = page("environment")
    assert all(f"`{one.name}`" in text for one in HONOURED)
    assert all(f"`{names}`" in text for names in NOT_HONOURED)


def test_every_error_type_is_in_the_reference_of_runs() -> None:
    assert all(f"`{one}`" in page("run-json") for one in ERROR_TYPES)


def test_every_fault_of_the_sandbox_is_on_its_page() -> None:
    text = (DOCS / "how-to" / "run-the-sandbox.md").read_text()
    kinds = [one for one in vars(faults).values() if isinstance(one, type) and issubclass(one, faults.Fault)]
    tags = {kind.__struct_config__.tag for kind in kinds if kind.__struct_config__.tag}
    named = {tag for tag in tags if isinstance(tag, str)} - {"Fault", "FeedFault", "EndpointFault"}
    assert len(named) > 20
    assert [tag for tag in sorted(named) if f"`{tag}`" not in text] == []
    for kind in kinds:
        fields = set(kind.__struct_fields__) - {"feed", "everywhere"}
        assert [name for name in fields if f"`{name}`" not in text] == []


def test_names_of_telemetry_in_any_text_exist() -> None:
    """A page that sends on-call to a metric that nothing exports costs an hour."""
    known = set(NAMES)
    modules = {
        ".".join(("probekit", *path.relative_to(ROOT / "src" / "probekit").with_suffix("").parts)).removesuffix(".__init__")
        for path in (ROOT / "src" / "probekit").rglob("*.py")
    }
    # Of the Ansible collection, which has the same first word.
    known |= {f"probekit.fleet.{path.name}" for path in (ROOT / "ansible" / "roles").iterdir()}
    known |= {f"probekit.fleet.{path.stem}" for path in (ROOT / "ansible" / "playbooks").glob("*.yml")}
    for text in TEXTS:
        for name in re.findall(r"`(probekit(?:\.[a-z_0-9]+)+)`", text.read_text()):
            module = name if name in modules else name.rpartition(".")[0]
            assert name in known or module in modules or name == "probekit.yaml", f"{text}: {name}"


def test_every_page_is_in_the_navigation_and_every_reference_page_on_the_front_page() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    front = (DOCS / "index.md").read_text()
    for path in sorted(DOCS.rglob("*.md")):
        relative = path.relative_to(DOCS).as_posix()
        assert relative in navigation, relative
        if not relative.startswith(("adr/", "index")):
            assert f"({relative})" in front, f"index.md does not lead to {relative}"
