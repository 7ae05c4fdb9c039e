"""Both engines trust the same authorities."""

from __future__ import annotations

from pathlib import Path

import pytest

from probekit.transports.authorities import system_ca_file
from probekit.transports.httpx import ssl_context


def test_a_file_that_the_environment_names_is_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    system_ca_file.cache_clear()
    assert system_ca_file() == str(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    system_ca_file.cache_clear()
    found = system_ca_file()
    assert found is None or Path(found).is_file()
    system_ca_file.cache_clear()


def test_a_context_is_built_once_per_setting() -> None:
    assert ssl_context(None) is ssl_context(None)
