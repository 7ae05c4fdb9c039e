"""Thresholds by scope: those of a publisher over those of a symbol over those of an asset class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import msgspec


def layered(base: Mapping[str, Any], *layers: msgspec.Struct | None) -> dict[str, Any]:
    """``base`` under ``layers``, the last first: what a layer states (is not ``None``) replaces what lies below it."""
    made = dict(base)
    for layer in layers:
        if layer is not None:
            made |= {name: value for name, value in msgspec.structs.asdict(layer).items() if value is not None}
    return made


def refusals(
    base: Mapping[str, Any],
    levels: Mapping[str, Mapping[str, msgspec.Struct]],
    makers: Sequence[Callable[[Mapping[str, Any]], object]],
) -> list[str]:
    """Every combination of thresholds that a check refuses, each told once, at the fewest layers that give it.

    ``levels`` are tables of layers by name, the lowest first (``by_asset_class``, ``by_symbol``, ``by_publisher``): any layer
    of one may meet any of the next. ``makers`` make the checks from the thresholds and raise ``ValueError``.
    """
    # Layers that say the same need to be tried once.
    choices: list[dict[msgspec.Struct | None, str]] = []
    for level, table in levels.items():
        distinct: dict[msgspec.Struct | None, str] = {None: ""}
        for name, layer in table.items():
            distinct.setdefault(layer, f"{level}.{name}")
        choices.append(distinct)
    told: dict[str, str] = {}
    combinations = sorted(product(*choices), key=lambda layers: sum(layer is not None for layer in layers))
    for layers in combinations:
        where = " over ".join(choices[at][layer] for at, layer in reversed([*enumerate(layers)]) if layer is not None)
        thresholds = layered(base, *layers)
        for make in makers:
            try:
                make(thresholds)
            except ValueError as error:
                told.setdefault(str(error), where)
    return [f"{where}: {sentence}" if where else sentence for sentence, where in told.items()]
