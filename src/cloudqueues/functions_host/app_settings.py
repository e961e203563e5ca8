"""Application settings: those of a local run, and those that disable a function."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from cloudqueues.errors import ConfigError

LOCAL_SETTINGS = "local.settings.json"
_PAGE = "https://learn.microsoft.com/azure/azure-functions/functions-develop-local#local-settings-file"


def read_object(path: Path | zipfile.Path, page: str) -> dict[str, Any]:
    """Return the object in a JSON file. Raises ConfigError, with the page that describes the file, for anything else."""
    try:
        content: Any = json.loads(path.read_bytes())
    except ValueError as exc:
        raise ConfigError(f"{path} is not JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is not a JSON object ({page})")
    return cast("dict[str, Any]", content)


def local_settings(app: Path) -> dict[str, str]:
    """Return the `Values` of an app's `local.settings.json`; nothing where there is no such file.

    Raises ConfigError for a file that is encrypted or cannot be read.
    """
    path = app / LOCAL_SETTINGS
    if not path.is_file():
        return {}
    settings = read_object(path, _PAGE)
    if str(settings.get("IsEncrypted", False)).lower() == "true":
        raise ConfigError(f"{path} is encrypted: run `func settings decrypt` in its folder, or give environ= ({_PAGE})")
    values: Any = settings.get("Values") or {}
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ConfigError(f'{path}: "Values" must be an object whose values are strings ({_PAGE})')
    return cast("dict[str, str]", values)


def is_disabled(function: str, environ: Mapping[str, str]) -> bool:
    """Return True when an application setting disables the function, whatever the case of its name and value.

    https://learn.microsoft.com/azure/azure-functions/disable-function
    """
    setting = f"AzureWebJobs.{function}.Disabled".lower()
    return any(name.lower() == setting and value.strip().lower() in {"true", "1"} for name, value in environ.items())
