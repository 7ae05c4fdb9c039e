"""Prices and money are integers and decimals: no float anywhere, and no digit lost to a decimal context; zero included."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import probekit.model
from probekit.codecs.evm.erc20 import Token
from probekit.model import Price
from probekit.model.evm import Address
from probekit.model.solana import LamportBalance, TokenAmount

TOKEN = Token(Address("0x" + "11" * 20), "Coin", "CN", 18)


def values() -> list[type]:
    found = []
    for module in pkgutil.walk_packages(probekit.model.__path__, "probekit.model."):
        made = importlib.import_module(module.name)
        found += [one for one in vars(made).values() if inspect.isclass(one) and one.__module__ == module.name]
    return found


def test_no_value_of_the_model_has_a_float() -> None:
    classes = values()
    assert len(classes) > 100
    for one in classes:
        told = dict(getattr(one, "__annotations__", {}))
        for name, member in vars(one).items():
            getter = member.fget if isinstance(member, property) else member if inspect.isfunction(member) else None
            told |= {f"{name}()": getter.__annotations__.get("return")} if getter is not None else {}
        assert not [name for name, kind in told.items() if "float" in str(kind)], one


@pytest.mark.parametrize(
    ("shown", "expo"),
    [
        (lambda amount: Price(amount, -8).decimal, -8),
        (lambda amount: LamportBalance(amount, 1).sol, -9),
        (lambda amount: TokenAmount(amount, 6).decimal, -6),
        (lambda amount: TOKEN.amount(amount), -18),
    ],
    ids=["price", "lamports", "token amount", "ERC-20"],
)
@given(amount=st.integers(0, 2**63 - 1) | st.sampled_from([0, 1, 10**18]))
def test_amounts_are_exact_whatever_the_decimal_context(shown: Any, expo: int, amount: int) -> None:
    with localcontext() as context:
        context.prec = 3
        found = shown(amount)
    assert isinstance(found, Decimal)
    assert found.is_finite()
    with localcontext() as context:
        context.prec = 60
        assert found * 10**-expo == amount
