"""Azure's own Python worker, which runs function apps on this machine too."""

from __future__ import annotations

import importlib.util
import sys

from peeklock.errors import ConfigError

OLDEST = (3, 13)
"""Oldest Python in the Requires-Python of azure-functions-runtime; pip refuses older ones."""

PINNED = "azure-functions-runtime==1.3.0 azurefunctions-extensions-base==1.2.0"
"""Versions that the tests of this repository use on Python 3.11."""


def check_installed() -> None:
    """Raise ConfigError, in one line with its fix, where the worker could not start."""
    if not _is_there("azure.functions"):
        raise ConfigError("servicebus on this machine needs azure-functions: pip install 'peeklock[dev,servicebus]'")
    if _is_there("azure_functions_runtime"):
        return
    needs = "servicebus on this machine needs azure-functions-runtime, Azure's own worker"
    if sys.version_info >= OLDEST:
        raise ConfigError(f"{needs}: pip install 'peeklock[dev,servicebus]'")
    current, oldest = (f"{version[0]}.{version[1]}" for version in (sys.version_info, OLDEST))
    raise ConfigError(
        f"{needs}, which pip installs on Python {oldest} and newer: use such a Python, or, as it runs on {current}, too:"
        f" pip install --ignore-requires-python --no-deps {PINNED}"
    )


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # the package that would contain it is missing
        return False
