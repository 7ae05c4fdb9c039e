"""Functions and events of contracts, by signature: calldata and answers, topics and log data, both ways.

A selector is the first 4 bytes of keccak256 of the signature, an event's first topic all 32. Source: Solidity documentation,
"Contract ABI Specification".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from probekit.codecs.evm import abi
from probekit.codecs.keccak import keccak256
from probekit.errors import DecodeError
from probekit.model.evm import Address

T = TypeVar("T")
U = TypeVar("U")

SELECTOR_SIZE: Final = 4
_NO_VALUE_TYPES: Final = ("string", "bytes")


def selector(signature: str) -> bytes:
    """The 4 bytes that calls of a function, and reverts with an error, begin with; the signature is ``name(types)``."""
    return keccak256(signature.encode())[:SELECTOR_SIZE]


def _inside(signature: str) -> str:
    return signature[signature.index("(") + 1 : -1]


@dataclass(frozen=True)
class ContractCall(Generic[T]):
    """A call that is ready to be made: its calldata, and how its answer reads.

    It knows neither contract nor node: it goes through a node's ``eth_call`` or through :mod:`~probekit.codecs.evm.multicall`.
    ``silent`` is a function that returns nothing. Calls are equal when they ask the same.
    """

    name: str
    data: bytes
    read: Callable[[bytes], T] = field(compare=False)
    silent: bool = False

    def result(self, answer: bytes) -> T:
        """The value in a contract's answer. Raises ``DecodeError``, also for the empty answer of an address without code; of a
        silent function that cannot be told from its own.
        """
        if not answer and not self.silent:
            raise DecodeError(f"{self.name}: an empty answer; no contract, or one without this function", raw=answer, offset=0)
        try:
            return self.read(answer)
        except DecodeError as error:
            raise DecodeError(f"{self.name}: {error.message}", raw=answer, offset=error.offset) from None

    def then(self, convert: Callable[[T], U]) -> ContractCall[U]:
        """The same call, its value converted. ``convert`` may raise ``ValueError``, which becomes a ``DecodeError``."""
        read = self.read

        def converted(answer: bytes) -> U:
            value = read(answer)
            try:
                return convert(value)
            except ValueError as error:
                raise DecodeError(str(error), raw=answer, offset=0) from None

        return ContractCall(self.name, self.data, converted, self.silent)


@dataclass(frozen=True)
class PreparedCall(Generic[T]):
    """A call with the contract it is for and the wei that go with it: to be simulated, or signed and sent."""

    to: Address
    call: ContractCall[T]
    value_wei: int = 0

    def transaction(self) -> dict[str, Any]:
        """``to``, ``data`` and ``value`` as signers take them; chain, nonce, gas and fees are the sender's to add."""
        return {"to": str(self.to), "data": "0x" + self.call.data.hex(), "value": self.value_wei}


@dataclass(frozen=True)
class Function:
    """A function of a contract. ``signature`` and ``returns`` hold canonical types: ``f(bytes32,uint256)``, ``(int64,bool)[]``.

    ``payable`` functions take wei with the call.
    """

    signature: str
    returns: str = ""
    payable: bool = False
    selector: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "selector", selector(self.signature))

    @cached_property
    def name(self) -> str:
        return self.signature.partition("(")[0]

    @cached_property
    def takes(self) -> str:
        return _inside(self.signature)

    def calldata(self, *arguments: Any) -> bytes:
        """The bytes of a call. Raises ``ValueError`` when an argument does not fit."""
        return self.selector + abi.encode(self.takes, arguments)

    def arguments(self, calldata: bytes) -> tuple[Any, ...]:
        """The arguments of a call of this function. Raises ``DecodeError``, also for another function's."""
        if calldata[:SELECTOR_SIZE] != self.selector:
            raise DecodeError(
                f"{self.name}: calldata begins with {calldata[:SELECTOR_SIZE].hex()}, not {self.selector.hex()}",
                raw=calldata,
                offset=0,
            )
        try:
            return abi.decode(self.takes, calldata[SELECTOR_SIZE:])
        except DecodeError as error:
            offset = None if error.offset is None else error.offset + SELECTOR_SIZE
            raise DecodeError(f"{self.name}: {error.message}", raw=calldata, offset=offset) from None

    def answer(self, *values: Any) -> bytes:
        """The bytes of an answer. Raises ``ValueError`` when a value does not fit."""
        return abi.encode(self.returns, values)

    def values(self, answer: bytes) -> tuple[Any, ...]:
        """The values of an answer; those that a later implementation appended are left out, see
        :func:`~probekit.codecs.evm.abi.decode_answer`. Raises ``DecodeError``.
        """
        return abi.decode_answer(self.returns, answer)

    def call(self, *arguments: Any) -> ContractCall[tuple[Any, ...]]:
        """A call whose answer reads as all its values."""
        return ContractCall(self.name, self.calldata(*arguments), self.values, not self.returns)

    def nothing(self, *arguments: Any) -> ContractCall[None]:
        """A call of a function that returns nothing, or nothing of interest."""
        return self.call(*arguments).then(lambda _: None)

    def one(self, *arguments: Any) -> ContractCall[Any]:
        """A call whose answer reads as its only value."""
        return ContractCall(self.name, self.calldata(*arguments), self._only)

    def _only(self, answer: bytes) -> Any:
        (value,) = self.values(answer)
        return value


@dataclass(frozen=True)
class Event:
    """An event. ``indexed`` holds the positions of the parameters that are topics; only value types can be, here."""

    signature: str
    indexed: tuple[int, ...] = ()
    topic: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "topic", keccak256(self.signature.encode()))

    @cached_property
    def name(self) -> str:
        return self.signature.partition("(")[0]

    @cached_property
    def _split(self) -> tuple[tuple[str, ...], str]:
        names = [one.name for one in abi.types_of(_inside(self.signature))]
        in_topics = tuple(names[at] for at in self.indexed)
        if any(name in _NO_VALUE_TYPES or name[-1] in ")]" for name in in_topics):
            raise ValueError(f"{self.signature}: of an indexed parameter of these types only a hash is kept")
        return in_topics, ",".join(name for at, name in enumerate(names) if at not in self.indexed)

    def encode(self, *values: Any) -> tuple[tuple[bytes, ...], bytes]:
        """Topics and data of a log. Raises ``ValueError`` when a value does not fit."""
        in_topics, in_data = self._split
        if len(values) != len(in_topics) + len(abi.types_of(in_data)):
            raise ValueError(f"{self.name}: {len(values)} values")
        topics = tuple(abi.encode(name, (values[at],)) for name, at in zip(in_topics, self.indexed, strict=True))
        rest = [value for at, value in enumerate(values) if at not in self.indexed]
        return (self.topic, *topics), abi.encode(in_data, rest)

    def decode(self, topics: Sequence[bytes], data: bytes) -> tuple[Any, ...]:
        """The parameters in the signature's order. Raises ``DecodeError``, also for another event."""
        if not topics or topics[0] != self.topic:
            shown = topics[0].hex() if topics else "none"
            raise DecodeError(f"{self.name}: first topic {shown}, not {self.topic.hex()}", raw=data)
        in_topics, in_data = self._split
        if len(topics) != 1 + len(in_topics):
            raise DecodeError(f"{self.name}: {len(topics)} topics, {1 + len(in_topics)} due", raw=data)
        values: list[Any] = []
        for name, topic in zip(in_topics, topics[1:], strict=True):
            try:
                values += abi.decode(name, topic)
            except DecodeError as error:
                raise DecodeError(f"{self.name}: a topic: {error.message}", raw=topic, offset=error.offset) from None
        try:
            rest = iter(abi.decode(in_data, data))
        except DecodeError as error:
            raise DecodeError(f"{self.name}: {error.message}", raw=data, offset=error.offset) from None
        keyed = dict(zip(self.indexed, values, strict=True))
        total = len(values) + len(abi.types_of(in_data))
        return tuple(keyed[at] if at in keyed else next(rest) for at in range(total))
