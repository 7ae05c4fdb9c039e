"""Hosts are made once for all tests of probes alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.deployment import Deployed, deployment


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployment(tmp_path_factory.mktemp("fleet")) as made:
        yield made
