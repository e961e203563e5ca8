"""Names of a cloud's package that are loaded on first use.

Settings, alarms and permissions are pure, and work without Pulumi's SDK; `App` and what it needs are not.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package. `homes`: the module below `peeklock.infra` that defines each name."""

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"peeklock.infra.{homes[name]}"), name)

    return load
