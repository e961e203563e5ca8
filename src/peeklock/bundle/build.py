"""Building a bundle, and finding the problems that keep it from being deployed."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peeklock.bundle import archive, code, contents, elf, imports, packages, queues, third_party
from peeklock.bundle import entries as entry_points
from peeklock.bundle.contents import Entries, Entry
from peeklock.bundle.project import BundleConfig
from peeklock.bundle.targets import MB, Target

MANIFEST = "peeklock_bundle.json"
"""File at the bundle's root that describes it. A program compares `queues` and `entries` with its own."""

LIMITS = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A distribution, peeklock, or a folder of the project. Sizes are bytes."""

    name: str
    version: str
    files: int
    unzipped: int
    zipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A zip file, its parts from the largest on, and the problems that keep it from being deployed."""

    data: bytes
    target: Target
    queues: Mapping[str, str]
    parts: tuple[Part, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def files(self) -> int:
        return sum(part.files for part in self.parts)

    @property
    def unzipped(self) -> int:
        return sum(part.unzipped for part in self.parts)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def build(config: BundleConfig, target: Target, installer: str, tell: Callable[[str], None]) -> Bundle:
    """Build a bundle; one that cannot be deployed has `problems`. Raises ConfigError for one that cannot be built."""
    versions = packages.pinned(config.lock, target)
    own = contents.merged(contents.library(), own_files(config))
    modules = code.modules(own, target)
    declared = queues.fingerprints(own, config.queues)
    manifest = _manifest(target, declared, versions, entry_points.entries(modules))
    entries = contents.merged(own, _third_party(config, target, installer, tell), manifest)
    tell(f"packing {len(entries)} files")
    data = archive.zipped(entries)
    parts = _parts(entries, data)
    total = sum(part.unzipped for part in parts)
    return Bundle(
        data=data,
        target=target,
        queues=declared,
        parts=parts,
        problems=(
            *_missing_files(entries, target),
            *imports.problems(modules, entries, target, config.lock.name),
            *elf.problems(entries, target),
            *_too_large(total, target),
            *_over(total, config.budget, target),
        ),
        notes=_notes(len(data), target),
    )


def own_files(config: BundleConfig) -> Entries:
    """Return the project's own files in its bundle. Raises ConfigError for files that cannot be in one."""
    return contents.own(config.folder, config.sources, config.root, include=config.include, exclude=config.exclude)


def _third_party(config: BundleConfig, target: Target, installer: str, tell: Callable[[str], None]) -> Entries:
    """Return the lock's packages, where the platform looks for them."""
    with tempfile.TemporaryDirectory() as folder:
        packages.fetch(installer, config.lock, target, Path(folder), tell)
        there = (
            third_party.wheels(Path(folder))
            if target.wheels
            else third_party.only(third_party.read(Path(folder)), config.only)
        )
    placed = {f"{target.packages}/{path}".lstrip("/"): entry for path, entry in there.items()}
    if target.wheels:
        placed["requirements.txt"] = Entry(part="requirements.txt", data=config.lock.read_bytes())
    return placed


def _manifest(
    target: Target, declared: Mapping[str, str], versions: Mapping[str, str], entries: Mapping[str, Any]
) -> Entries:
    from importlib.metadata import version

    manifest = {
        "platform": target.platform,
        "python": target.python,
        "arch": target.arch,
        "peeklock": version("peeklock"),
        "queues": declared,
        "entries": entries,
        "packages": versions,
    }
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    return {MANIFEST: Entry(part=MANIFEST, data=text.encode())}


def _parts(entries: Entries, data: bytes) -> tuple[Part, ...]:
    sizes: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for path, size in archive.sizes(data).items():
        sizes.setdefault((entries[path].part, entries[path].version), []).append(size)
    parts = (
        Part(
            name=name,
            version=version,
            files=len(each),
            unzipped=sum(unzipped for unzipped, _ in each),
            zipped=sum(zipped for _, zipped in each),
        )
        for (name, version), each in sizes.items()
    )
    return tuple(sorted(parts, key=lambda part: (-part.unzipped, part.name)))


def megabytes(size: float) -> str:
    return f"{size / MB:.1f} MB"


def _missing_files(entries: Entries, target: Target) -> list[str]:
    """Return a sentence for each file that the platform needs at the bundle's root. `peeklock.infra.azure` renders both files of
    a function app, so only one of the two is a problem there."""
    missing = [file for file in target.at_root if file not in entries]
    if not missing or (target.renders and len(missing) == len(target.at_root)):
        return []
    return [
        f"there is no {file} at the bundle's root, where the platform looks for it: name its folder as root in"
        f" [tool.peeklock.bundle.{target.platform}]"
        for file in missing
    ]


def _too_large(total: int, target: Target) -> list[str]:
    if target.most is None or total <= target.most:
        return []
    over = megabytes(total - target.most)
    return [f"{megabytes(total)} unzipped, and Lambda takes {megabytes(target.most)}: leave out {over} ({LIMITS})"]


def _over(total: int, budget: float | None, target: Target) -> list[str]:
    if budget is None or total <= budget * MB:
        return []
    over, table = megabytes(total - budget * MB), f"[tool.peeklock.bundle.{target.platform}]"
    problem = f"{megabytes(total)} unzipped is {over} over the budget of {budget:g} MB"
    return [f"{problem}: make the largest parts smaller, or raise budget in {table}"]


def _notes(size: int, target: Target) -> tuple[str, ...]:
    if target.direct is None or size <= target.direct:
        return ()
    note = f"{megabytes(size)} zipped is over the {megabytes(target.direct)} that Lambda takes directly"
    return (f"{note}: peeklock.infra.aws uploads it to a bucket ({LIMITS})",)
