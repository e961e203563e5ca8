"""What the engine's state says of function apps on Azure, and what is in their packages.

An app's package is the zip file that `peeklock.infra.azure` wrote beside the bundle: a Blob of the program, which a
Deployment names by its address. Anything else that is deployed in another way is refused, and not guessed at.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peeklock.dev.deployed.local_context import Resource, made
from peeklock.errors import ConfigError

RENDERED = ("function_app.py", "host.json")
"""Files of a package that follow from the program, and are not in the code's folder."""

_CONSUMER = re.compile(r"^from (\S+) import (\S+) as consumer$", re.MULTILINE)
"""In function_app.py, as `peeklock.infra.azure.package` renders it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    name: str
    settings: Mapping[str, str]
    """All of its app settings: its environment."""
    package: Path


def apps(resources: Sequence[Resource], folder: Path) -> list[App]:
    """By name. `folder`: the program's, from which it named its packages. Raises ConfigError."""
    deployed = dict(_deployed(resources))
    blobs = dict(_blobs(resources, folder))
    found = [one for one in _inputs(resources, "web:WebApp") if "functionapp" in one.get("kind", "")]
    return [_app(one, deployed, blobs) for one in sorted(found, key=lambda one: str(one["name"]))]


def _app(inputs: Mapping[str, Any], deployed: Mapping[str, str], blobs: Mapping[str, Path]) -> App:
    name = str(inputs["name"])
    runtime = inputs.get("functionAppConfig", {}).get("runtime", {}).get("name")
    if runtime != "python":
        raise ConfigError(
            f"function app {name!r} has the runtime {runtime!r} in functionAppConfig, and only 'python' runs on this"
            " machine; leave it out of this stack"
        )
    if name not in deployed:
        raise ConfigError(f"function app {name!r} has no package deployed to it; make it with App.consumer, which does")
    if deployed[name] not in blobs:
        raise ConfigError(
            f"function app {name!r} is deployed from {deployed[name]}, which is no file that this program uploads; make it"
            " with App.consumer, or upload the package as a storage.Blob from a FileAsset"
        )
    told = inputs.get("siteConfig", {}).get("appSettings", [])
    return App(name=name, settings={one["name"]: one["value"] for one in told}, package=blobs[deployed[name]])


def _inputs(resources: Sequence[Resource], type_: str) -> Iterator[Mapping[str, Any]]:
    return (one["inputs"] for one in made(resources, f"azure-native:{type_}"))


def _deployed(resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """Apps and the addresses of their packages, by One Deploy.
    https://learn.microsoft.com/azure/azure-functions/functions-infrastructure-as-code#deployment-package"""
    for one in _inputs(resources, "resources:Deployment"):
        for inner in one["properties"].get("template", {}).get("resources", []):
            app, _, extension = inner["name"].partition("/")
            if extension == "onedeploy":
                yield app, inner["properties"]["packageUri"]


def _blobs(resources: Sequence[Resource], folder: Path) -> Iterator[tuple[str, Path]]:
    """Addresses, and the files that were uploaded to them."""
    for one in _inputs(resources, "storage:Blob"):
        path = one.get("source", {}).get("path")
        if path:
            where = f"https://{one['accountName']}.blob.core.windows.net/{one['containerName']}/{one['blobName']}"
            yield where, folder / path


@contextmanager
def opened(app: App) -> Iterator[zipfile.Path]:
    """The package, to read. Raises ConfigError where it is gone, or without a function_app.py and a host.json."""
    try:
        package = zipfile.ZipFile(app.package)
    except (OSError, zipfile.BadZipFile) as exc:
        raise ConfigError(f"function app {app.name!r}: {exc}; run `pulumi up` again, which writes its package") from exc
    with package:
        for file in RENDERED:
            if file not in package.namelist():
                raise ConfigError(
                    f"function app {app.name!r}: no {file} in {app.package}; the Python v2 model has both"
                )
        yield zipfile.Path(package)


def entry(package: zipfile.Path) -> str:
    """The consumer as the program names it; of an app that is not rendered, the file that Azure starts."""
    found = _CONSUMER.search((package / RENDERED[0]).read_text("utf-8"))
    return ".".join(found.groups()) if found else RENDERED[0]
