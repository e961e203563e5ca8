"""Stacks read from a file: a Pulumi stack's, or one of the same keys in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peeklock.errors import ConfigError
from peeklock.infra.options import Stage
from peeklock.infra.portable.stack import Stack
from peeklock.keywords import nearest

KEYS = ("stage", "capacity")


def read_stack(file: Path, app: str) -> Stack:
    """Return the stack that a file describes, named as the file is: `Pulumi.prod.yaml` and `prod.json` are `prod`.

    The file has `stage` and `capacity`, at its top or, as Pulumi writes them, under `config` with the project's name before
    each. Raises ConfigError for a file that cannot be read and, in a file without `config`, for other keys.
    """
    content = _content(file)
    of_pulumi = "config" in content or file.name.startswith("Pulumi.")
    config = _mapping(file, content.get("config") or {}) if of_pulumi else content
    if not of_pulumi:
        for key in sorted(set(config) - {*KEYS, "project", "region"}):
            raise ConfigError(f"{file}: {key!r} is unknown; {nearest(key, [*KEYS, 'project', 'region'])}")
    options = {key.rpartition(":")[2]: value for key, value in config.items()}
    return Stack(
        app=app,
        name=file.stem.removeprefix("Pulumi."),
        capacity=_mapping(file, options.get("capacity") or {}),
        stage=Stage.from_mapping(_mapping(file, options.get("stage") or {})),
        project=str(options.get("project", "")),
        region=str(options.get("region", "")),
    )


def _content(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_text("utf-8")
        return _mapping(file, json.loads(text) if file.suffix == ".json" else _yaml(file, text))
    except OSError as exc:
        raise ConfigError(f"--stack {file}: {exc.strerror}") from None
    except ValueError as exc:
        raise ConfigError(f"--stack {file}: {exc}") from None


def _yaml(file: Path, text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            f"--stack {file}: reading YAML needs pyyaml: install it, or write the same keys in JSON"
        ) from None
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as exc:
        raise ConfigError(f"--stack {file}: {exc}") from None


def _mapping(file: Path, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"--stack {file}: {value!r} is no mapping, as in infra/aws/Pulumi.dev.yaml")
    return value
