"""The clouds that a Pulumi program is for, and their runners."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from peeklock.dev.deployed.local_context import CloudRunner, LocalContext
from peeklock.errors import ConfigError
from peeklock.platform_registry import load_target
from peeklock.replay.problems import explained

RUNNERS = {
    "aws": "peeklock.dev.deployed.aws:AwsRunner",
    "azure": "peeklock.dev.deployed.azure:AzureRunner",
    "gcp": "peeklock.dev.deployed.gcp:GcpRunner",
}
"""Classes by cloud, as texts, so that an emulator's SDK is loaded only for a program that needs it."""

IMPORTED = {
    "peeklock.infra.aws": "aws",
    "peeklock.infra.azure": "azure",
    "peeklock.infra.gcp": "gcp",
    "pulumi_aws": "aws",
    "pulumi_azure_native": "azure",
    "pulumi_gcp": "gcp",
}
"""Clouds by the packages that a program imports."""

EXTRAS = {
    "aws": ("dev", "infra-aws"),
    "azure": ("dev", "servicebus", "infra-azure"),
    "gcp": ("dev", "cloudtasks", "infra-gcp"),
}
"""Extras of peeklock that a program and its functions need on this machine, by cloud."""


def install_command(clouds: Sequence[str]) -> str:
    """Return the command that installs what programs for these clouds need."""
    extras = dict.fromkeys(extra for cloud in clouds for extra in EXTRAS[cloud])
    return f"pip install 'peeklock[{','.join(extras)}]'"


def clouds_of(folder: Path) -> list[str]:
    """Return the clouds of a program, by what its files import. Raises ConfigError for a folder without a program, or one for no cloud."""
    if not (folder / "Pulumi.yaml").is_file() or not (folder / "__main__.py").is_file():
        raise ConfigError(f"--infra {folder}: no folder with Pulumi.yaml and __main__.py, a Pulumi program in Python")
    modules = {name for file in folder.glob("**/*.py") if not _hidden(file, folder) for name in _imports(file)}
    clouds = {cloud for package, cloud in IMPORTED.items() for name in modules if f"{name}.".startswith(f"{package}.")}
    if not clouds:
        raise ConfigError(
            f"--infra {folder}: it imports none of {', '.join(IMPORTED)}; no other cloud runs on this machine"
        )
    return sorted(clouds)


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _imports(file: Path) -> Iterator[str]:
    """Yield the modules that a file imports. Raises ConfigError for a file that does not parse."""
    tree = parsed(file, Path.cwd())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parsed(file: Path, root: Path) -> ast.Module:
    """Return the syntax tree of a file. Raises ConfigError, with the place relative to a folder, for a file that does not parse."""
    try:
        return ast.parse(file.read_bytes(), filename=str(file.resolve()))
    except (SyntaxError, ValueError) as exc:
        raise ConfigError(explained(exc, root.resolve())) from None


def create_runner(cloud: str, local: LocalContext, folder: Path) -> CloudRunner:
    """Return the runner of a cloud. Raises ConfigError where its SDKs are not installed."""
    try:
        runner: CloudRunner = load_target(RUNNERS[cloud])(local, folder)
    except ImportError as exc:
        raise ConfigError(f"{cloud} on this machine needs {exc.name}: {install_command([cloud])}") from exc
    return runner
