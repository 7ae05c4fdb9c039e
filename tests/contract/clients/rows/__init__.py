"""One file for each client; the folder is the table."""

from __future__ import annotations

import importlib
import pkgutil

from tests.contract.clients.table import Table

TABLES: list[Table] = [importlib.import_module(f"{__name__}.{module.name}").TABLE for module in pkgutil.iter_modules(__path__)]
