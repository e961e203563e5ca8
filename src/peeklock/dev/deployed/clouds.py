"""Which clouds a Pulumi program is for."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from peeklock.dev.deployed.local_context import CloudRunner, LocalContext
from peeklock.errors import ConfigError

CLOUDS = {
    "aws": "peeklock.dev.deployed.aws:AwsDeployed",
    "azure": "peeklock.dev.deployed.azure:AzureDeployed",
    "gcp": "peeklock.dev.deployed.gcp:GcpDeployed",
}
"""By name, so that an emulator's SDK is loaded only for a program that needs it."""

IMPORTED = {
    "peeklock.infra.aws": "aws",
    "peeklock.infra.azure": "azure",
    "peeklock.infra.gcp": "gcp",
    "pulumi_aws": "aws",
    "pulumi_azure_native": "azure",
    "pulumi_gcp": "gcp",
}


EXTRAS = {
    "aws": ("dev", "infra-aws"),
    "azure": ("dev", "servicebus", "infra-azure"),
    "gcp": ("dev", "cloudtasks", "infra-gcp"),
}
"""Extras of peeklock that a program and its functions need on this machine, by cloud."""


def install(clouds: Sequence[str]) -> str:
    """The command that installs what programs for these clouds need."""
    extras = dict.fromkeys(extra for cloud in clouds for extra in EXTRAS[cloud])
    return f"pip install 'peeklock[{','.join(extras)}]'"


def named(folder: Path) -> list[str]:
    """Clouds by what the program's files import. Raises ConfigError for a folder without a program, or one for no cloud."""
    if not (folder / "Pulumi.yaml").is_file() or not (folder / "__main__.py").is_file():
        raise ConfigError(f"--infra {folder}: no folder with Pulumi.yaml and __main__.py, a Pulumi program in Python")
    modules = {one for file in folder.glob("**/*.py") if not _hidden(file, folder) for one in _imports(file)}
    found = {cloud for module, cloud in IMPORTED.items() for one in modules if f"{one}.".startswith(f"{module}.")}
    if not found:
        raise ConfigError(
            f"--infra {folder}: it imports none of {', '.join(IMPORTED)}; no other cloud runs on this machine"
        )
    return sorted(found)


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _imports(file: Path) -> Iterator[str]:
    """Raises ConfigError for a file that is no Python."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as exc:
        raise ConfigError(f"{file}: {exc}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{one.name}" for one in node.names)


def made(name: str, here: LocalContext, folder: Path) -> CloudRunner:
    """Raises ConfigError where its SDKs are not installed."""
    module, _, attribute = CLOUDS[name].partition(":")
    try:
        one: CloudRunner = getattr(importlib.import_module(module), attribute)(here, folder)
    except ImportError as exc:
        raise ConfigError(f"{name} on this machine needs {exc.name}: {install([name])}") from exc
    return one
