"""Any ABI type with a value of it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.unit.codecs.strategies import exactly, signed, unsigned

addresses = exactly(20).map(lambda raw: "0x" + raw.hex())
_bits = st.integers(1, 32).map(lambda count: count * 8)

_elementary: st.SearchStrategy[tuple[str, st.SearchStrategy[Any]]] = st.one_of(
    _bits.map(lambda bits: (f"uint{bits}", unsigned(bits))),
    _bits.map(lambda bits: (f"int{bits}", signed(bits))),
    st.integers(1, 32).map(lambda size: (f"bytes{size}", exactly(size))),
    st.sampled_from(
        (
            ("bool", st.booleans()),
            ("address", addresses),
            ("bytes", st.binary(max_size=70)),
            ("string", st.text(max_size=40)),
        )
    ),
)


def _larger(
    inner: st.SearchStrategy[tuple[str, st.SearchStrategy[Any]]],
) -> st.SearchStrategy[tuple[str, st.SearchStrategy[Any]]]:
    return st.one_of(
        inner.map(lambda one: (f"{one[0]}[]", st.lists(one[1], max_size=3).map(tuple))),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda many: (f"({','.join(name for name, _ in many)})", st.tuples(*(values for _, values in many)))
        ),
    )


_types = st.recursive(_elementary, _larger, max_leaves=6)


@st.composite
def typed_values(draw: st.DrawFn) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """A list of types and a value of each."""
    chosen = draw(st.lists(_types, min_size=1, max_size=4))
    return tuple(name for name, _ in chosen), tuple(draw(values) for _, values in chosen)
