"""A cloud's program and its components under the recording monitor, with a bundle of one file."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.infra import recording
from tests.infra.recording import Recorded, Registration
from tests.support import ROOT

STACKS = ("dev", "staging", "prod")


def bundled(path: Path) -> Path:
    """A bundle with one file, so that its digest is the same on every machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("handlers/__init__.py"), "")
    return path


def program(cloud: str, tmp_path: Path, stack: str, **options: Any) -> Recorded:
    """infra/<cloud>, run for a stack in a copy of its folder that has a bundle where the program looks for one."""
    folder = tmp_path / "infra" / cloud
    shutil.copytree(
        ROOT / "infra" / cloud, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".venv")
    )
    bundled(tmp_path / "build" / "bundle" / f"{cloud}.zip")
    return recording.run_program(folder, stack, **options)


def run(
    function: Callable[[], Any],
    config: Mapping[str, Any] | None = None,
    *,
    preview: bool = False,
    answers: recording.Answers | None = None,
) -> Recorded:
    """A program that is a function."""
    return recording.run_function(function, config=config, preview=preview, answers=answers)


def wrapped(arguments: Mapping[str, Any], wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Return arguments with each value, or each value of a mapping, wrapped, such as into an output."""
    return {
        name: {key: wrap(inner) for key, inner in value.items()} if isinstance(value, dict) else wrap(value)
        for name, value in arguments.items()
    }


def planted(inputs: Mapping, path: str, value):
    """A copy of the inputs with one value changed; None takes it out."""
    key, _, rest = path.partition(".")
    copy = dict(inputs)
    if rest and isinstance(copy[key], list):
        copy[key] = [planted(item, rest, value) for item in copy[key]]
    elif rest:
        copy[key] = planted(copy[key], rest, value)
    elif value is None:
        del copy[key]
    else:
        copy[key] = value
    return copy


def differences(before: Recorded, after: Recorded) -> dict[tuple[str, str], set[str]]:
    """Return the inputs that differ, nested ones by their path, by type and name of their resource."""
    differing = {}
    for registration in after.registrations:
        old, new = _flat(before.named(registration.name, registration.type).inputs), _flat(registration.inputs)
        if changed := {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}:
            differing[registration.type.rpartition(":")[2], registration.name] = changed
    return differing


def without_protectors(recorded: Recorded) -> list[Registration]:
    """All but those that `peeklock.infra.protection` makes, which are no resources of a cloud."""
    return [registration for registration in recorded.registrations if registration.type != "peeklock:infra:Kept"]


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """Lists of names and values, as Azure has them, are as good as a mapping."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, Mapping) and set(item) == {"name", "value"} for item in value)
    ):
        value = {item["name"]: item["value"] for item in value}
    if isinstance(value, Mapping):
        return {key: text for name, inner in value.items() for key, text in _flat(inner, f"{path}.{name}").items()}
    return {path.removeprefix("."): str(value)}
