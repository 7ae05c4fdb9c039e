"""Reading and writing what stands behind a governance header: big-endian, but for module 0, every length checked before use."""

from __future__ import annotations

from typing import Final

from probekit.codecs.solana.borsh import Reader
from probekit.model.pyth_evm import DataSource

SOURCE_SIZE: Final = 34


class Cursor(Reader):
    """A cursor over a whole message, so that offsets in errors are offsets in it."""

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.offset

    def big(self, size: int) -> int:
        """The next ``size`` bytes, unsigned and big-endian."""
        return int.from_bytes(self.take(size), "big")

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)

    def prefixed(self) -> bytes:
        """Bytes behind their length in one byte, at least one."""
        size = self.big(1)
        if not size:
            raise self.error("an empty field", back=1)
        return self.take(size)

    def sources(self) -> tuple[DataSource, ...]:
        """Data sources behind their number in one byte."""
        count = self.big(1)
        if self.left != count * SOURCE_SIZE:
            raise self.error(f"{count} data sources are {count * SOURCE_SIZE} bytes, not {self.left}", back=1)
        return tuple(self.source() for _ in range(count))

    def source(self) -> DataSource:
        return DataSource(self.big(2), self.take(32))

    def end(self) -> None:
        """Raises ``DecodeError`` when anything is left."""
        if self.left:
            raise self.error(f"{self.left} bytes too many")


def big(value: int, size: int) -> bytes:
    """``size`` bytes. Raises ``ValueError`` when ``value`` does not fit."""
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise ValueError(f"{value} does not fit into {size} bytes") from None


def prefixed(value: bytes) -> bytes:
    """``value`` behind its length. Raises ``ValueError`` unless that is 1 to 255."""
    if not 1 <= len(value) <= 255:
        raise ValueError(f"a field of {len(value)} bytes; 1 to 255 have room")
    return big(len(value), 1) + value


def source(one: DataSource) -> bytes:
    if len(one.emitter) != 32:
        raise ValueError(f"an emitter has 32 bytes, not {len(one.emitter)}")
    return big(one.chain_id, 2) + one.emitter


def sources(many: tuple[DataSource, ...]) -> bytes:
    return big(len(many), 1) + b"".join(source(one) for one in many)
