"""Planted wheels, locks, shared objects and projects, so that the real pip runs without a network; and the examples' own
bundles, from the real packages."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import platform
import shutil
import struct
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from peeklock.bundle.build import build
from peeklock.bundle.contents import Entries, Entry
from peeklock.bundle.packages import tool
from peeklock.bundle.project import load
from peeklock.bundle.targets import MACHINES, TARGETS
from tests.support import ROOT, environment

NUMBERS = {"x86_64": 62, "aarch64": 183, "i386": 3}
MUSL = "libc.musl-x86_64.so.1"


def elf(machine: str = "aarch64", needed: Sequence[str] = ("libc.so.6",), *, base: int = 0x1000) -> bytes:
    """The least that a dynamic linker would call a shared object, loaded at an address that is not its place in the file."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    at_strings = 64 + 2 * 56
    at_dynamic = at_strings + len(strings)
    places = [1 + sum(len(library) + 1 for library in needed[:n]) for n in range(len(needed))]
    tags = [(5, base + at_strings), *((1, place) for place in places), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    size = at_dynamic + len(dynamic)
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, NUMBERS[machine], 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 4096)
    linking = struct.pack("<IIQQQQQQ", 2, 6, at_dynamic, base + at_dynamic, 0, len(dynamic), len(dynamic), 8)
    return head + load + linking + strings + dynamic


def wheel(
    folder: Path, name: str, files: Mapping[str, bytes], *, tag: str = "py3-none-any", version: str = "1.0"
) -> Path:
    """A wheel as pip and uv take it."""
    info = f"{name}-{version}.dist-info"
    pure = "true" if tag.endswith("any") else "false"
    inside = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: kit\nRoot-Is-Purelib: {pure}\nTag: {tag}\n".encode(),
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n".encode(),
    }
    rows = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in inside.items()]
    record = "\n".join([*rows, f"{info}/RECORD,,\n"])
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, data in (*inside.items(), (f"{info}/RECORD", record.encode())):
            archive.writestr(zipfile.ZipInfo(place, (2024, 1, 1, 0, 0, 0)), data)
    return path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def pin(*wheels: Path) -> str:
    """A lock of these wheels."""
    named = [(path.name.split("-"), hashlib.sha256(path.read_bytes()).hexdigest()) for path in wheels]
    return "".join(f"{name}=={version} \\\n    --hash=sha256:{digest}\n" for (name, version, *_), digest in named)


QUEUES = """\
from peeklock import Queue

ORDERS = Queue("orders", max_attempts=5, timeout=30)
RECEIPTS = Queue("receipts", max_attempts=10, timeout=10)
"""


def project(folder: Path, platform: str = "aws", more: str = "", lock: str = "") -> Path:
    """A small project with a table for one platform."""
    app = folder / "app"
    app.mkdir(parents=True)
    (app / "__init__.py").write_text("")
    (app / "queues.py").write_text(QUEUES)
    (app / "work.py").write_text("import planted\n" if "planted" in lock else "")
    (folder / "entry").mkdir()
    (folder / "entry" / "main.py").write_text("import app.work\n")
    (folder / "lock.txt").write_text(lock)
    (folder / "pyproject.toml").write_text(
        '[tool.peeklock.bundle]\nqueues = ["app.queues"]\n\n'
        f'[tool.peeklock.bundle.{platform}]\nsources = ["app"]\nroot = "entry"\nlock = "lock.txt"\n{more}'
    )
    return folder


def offline(wheels: Path) -> AbstractContextManager[None]:
    """pip and uv see these wheels and nothing else."""
    place = str(wheels)
    return environment(
        PIP_NO_INDEX="1", PIP_FIND_LINKS=place, PIP_INDEX_URL=None, UV_NO_INDEX="1", UV_FIND_LINKS=place, UV_OFFLINE="1"
    )


def entries(**files: bytes) -> Entries:
    """Files by path; two underscores for a slash, one at the end for the dot of `.so`."""
    return {path.replace("__", "/"): Entry(part="planted", data=data) for path, data in files.items()}


DAY = 86_400
"""Seconds after which the bundles of a test run are in nobody's use."""

THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def packed(cloud: str, python: str = THIS_PYTHON) -> bytes:
    """The examples' bundle for a cloud, as a zip file; for a version of Python, and for this machine's processor. Built once a
    test run, whose processes share it: each downloads a cloud's packages."""
    runs = ROOT / "build" / "test-bundles"
    place = runs / os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    place.mkdir(parents=True, exist_ok=True)
    for run in runs.iterdir():
        if time.time() - run.stat().st_mtime > DAY:
            shutil.rmtree(run, ignore_errors=True)
    path = place / f"{cloud}-{python}.zip"
    with (place / f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_bytes(_built(cloud, python))
            part.rename(path)
    return path.read_bytes()


def installers() -> AbstractContextManager[None]:
    """uv is found where it came with this environment: it takes a tenth of pip's time."""
    return environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def _built(cloud: str, python: str) -> bytes:
    machine = MACHINES.get(platform.machine(), platform.machine())
    chosen = replace(TARGETS[cloud], python=python, machine=machine)
    with installers():
        bundle = build(load(ROOT, cloud), chosen, tool(chosen), lambda _: None)
    assert bundle.problems == ()
    return bundle.data
