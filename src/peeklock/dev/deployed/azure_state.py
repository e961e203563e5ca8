"""Function apps in the engine's state on Azure, and the contents of their packages.

An app's package is the zip file that `peeklock.infra.azure` wrote beside the bundle: a Blob of the program, which a
Deployment names by its address. An app that is deployed in another way is refused.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peeklock.dev.deployed.local_context import Resource, resources_of
from peeklock.errors import ConfigError

RENDERED = ("function_app.py", "host.json")
"""Files of a package that follow from the program, and are not in the code's folder."""

_CONSUMER = re.compile(r"^from (\S+) import (\S+) as consumer$", re.MULTILINE)
"""Import of the consumer in function_app.py, as `peeklock.infra.azure.package` renders it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    name: str
    settings: Mapping[str, str]
    """All of its app settings: its environment."""
    package: Path


def apps(resources: Sequence[Resource], folder: Path) -> list[App]:
    """Return the apps, sorted by name. `folder`: the program's folder, which the paths of its packages begin at. Raises ConfigError."""
    deployed = dict(_deployed(resources))
    blobs = dict(_blobs(resources, folder))
    functions = [app for app in _inputs(resources, "web:WebApp") if "functionapp" in app.get("kind", "")]
    return [_app(app, deployed, blobs) for app in sorted(functions, key=lambda app: str(app["name"]))]


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
    settings = {setting["name"]: setting["value"] for setting in inputs.get("siteConfig", {}).get("appSettings", [])}
    return App(name=name, settings=settings, package=blobs[deployed[name]])


def _inputs(resources: Sequence[Resource], type_: str) -> Iterator[Mapping[str, Any]]:
    return (resource["inputs"] for resource in resources_of(resources, f"azure-native:{type_}"))


def _deployed(resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    """Yield apps and the addresses of their packages, by One Deploy.
    https://learn.microsoft.com/azure/azure-functions/functions-infrastructure-as-code#deployment-package"""
    for deployment in _inputs(resources, "resources:Deployment"):
        for inner in deployment["properties"].get("template", {}).get("resources", []):
            app, _, extension = inner["name"].partition("/")
            if extension == "onedeploy":
                yield app, inner["properties"]["packageUri"]


def _blobs(resources: Sequence[Resource], folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield addresses, and the files that were uploaded to them."""
    for blob in _inputs(resources, "storage:Blob"):
        path = blob.get("source", {}).get("path")
        if path:
            where = f"https://{blob['accountName']}.blob.core.windows.net/{blob['containerName']}/{blob['blobName']}"
            yield where, folder / path


@contextmanager
def opened(app: App) -> Iterator[zipfile.Path]:
    """Open the package for reading. Raises ConfigError where it is gone, or without a function_app.py and a host.json."""
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


def consumer(package: zipfile.Path) -> tuple[str, str] | None:
    """Return module and name of the consumer, as the program names it; None for a function_app.py that is not rendered."""
    match = _CONSUMER.search((package / RENDERED[0]).read_text("utf-8"))
    return (match[1], match[2]) if match else None
