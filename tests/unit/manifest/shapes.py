"""Options of every shape a probe may have, and how the tests read them from text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import msgspec
import pytest

from probekit.errors import ConfigError
from probekit.manifest import Manifest, read_manifest
from probekit.model import FeedId
from probekit.model.pubkey import Pubkey
from probekit.probe import Options, Probe
from probekit.secret import Secret
from probekit.units import Bps, ByteSize, Instant

ID = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"
KEY = "11111111111111111111111111111111"


class Level(Enum):
    LOW = 1
    HIGH = 2


Region = NewType("Region", str)


class Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    age: timedelta = timedelta(seconds=1)
    conf: Bps | None = None
    size: ByteSize = ByteSize(1)
    id: FeedId | None = None


class Node(msgspec.Struct, frozen=True):
    leaf: Leaf
    leaves: tuple[Leaf, ...] = ()
    named: dict[str, Leaf] = {}
    key: Secret | None = None

    def __post_init__(self) -> None:
        if self.leaf.age > timedelta(minutes=1):
            raise ValueError("leaf is too old")


class Circle(msgspec.Struct):
    """A type of itself: looking into it must end."""

    next: Circle | None = None


class Ring(msgspec.Struct):
    next: list[Ring] = []
    key: Secret | None = None


class Opts(Options, frozen=True, kw_only=True):
    feeds: tuple[str, ...] = ()
    ids: tuple[FeedId, ...] = ()
    by_id: dict[FeedId, timedelta] = {}
    node: Node | None = None
    ratio: Decimal = Decimal(1)
    share: float = 0.5
    pair: tuple[int, str] | None = None
    names: frozenset[str] = frozenset()
    ages: Sequence[timedelta] = ()
    limits: Mapping[str, Bps] = {}
    either: timedelta | bool = False
    level: Level = Level.LOW
    mode: Literal["on", "slow", 5] | None = None
    some: Annotated[int, msgspec.Meta(ge=1, le=10, multiple_of=2)] = 2
    least: Annotated[Decimal, msgspec.Meta(gt=0, lt=5)] = Decimal(1)
    word: Annotated[str, msgspec.Meta(min_length=2, max_length=4, pattern="^[a-z]+$")] = "abc"
    few: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=2)] = ("a",)
    region: Region = Region("eu")
    program: Pubkey | None = None
    since: Instant | None = None
    key: Secret | None = None
    keys: dict[str, Secret] = {}
    anything: Any = None
    flag: bool = False
    strange: complex | None = None


nothing: Any = None
PROBE: Probe[Opts] = Probe.poll(
    name="p", question="q?", options=Opts, targets=nothing, observe=nothing, checks=lambda options, target: []
)


def load(tmp_path: Path, text: str, **overrides: str) -> Manifest[Opts]:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    return read_manifest(PROBE, path, overrides)


def read(tmp_path: Path, *lines: str) -> Opts:
    return load(tmp_path, "options:\n" + "".join(f"  {line}\n" for line in lines)).options


def faults(tmp_path: Path, *lines: str) -> list[str]:
    """One line of options each, from line 2 of the file."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, *lines)
    return [one.replace(f"{tmp_path}/p.yaml:", "") for one in caught.value.problems]
