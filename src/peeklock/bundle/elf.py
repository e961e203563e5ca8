"""Checking that shared objects are for the target. Only the header and the list of needed libraries are read.
https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Iterator

from peeklock.bundle.contents import Entries
from peeklock.bundle.targets import Target

MACHINES = {3: "i386", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
"""e_machine. https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html"""

_FOREIGN = {
    b"MZ": "Windows",
    b"\xcf\xfa\xed\xfe": "macOS",
    b"\xce\xfa\xed\xfe": "macOS",
    b"\xca\xfe\xba\xbe": "macOS",
}
_SUFFIX = re.compile(r"\.(so(\.[\d.]+)?|pyd|dll|dylib)$")
_PYTHON = re.compile(r"\.cpython-(\d)(\d+)")  # https://peps.python.org/pep-3149/
_LOAD, _DYNAMIC = 1, 2  # types of a program header
_NEEDED, _STRINGS = 1, 5  # tags of the dynamic section


def problems(entries: Entries, target: Target) -> list[str]:
    """Return a sentence for each shared object that the target cannot load, also for those in wheels."""
    return [f"{path}: {wrong}" for path, data in _files(entries) if (wrong := problem(path, data, target))]


def _files(entries: Entries) -> Iterator[tuple[str, bytes]]:
    for path, entry in entries.items():
        if not path.endswith(".whl"):
            yield path, entry.data
            continue
        with zipfile.ZipFile(io.BytesIO(entry.data)) as wheel:
            for name in wheel.namelist():
                yield f"{path}/{name}", wheel.read(name)


def problem(path: str, data: bytes, target: Target) -> str | None:
    """Return why the target cannot load a file; None where it can, and for files that are no shared objects."""
    wanted = f"the bundle is for Linux on {target.machine}"
    if not data.startswith(b"\x7fELF"):
        system = next((name for magic, name in _FOREIGN.items() if data.startswith(magic)), "another system")
        return f"made for {system}; {wanted}" if _SUFFIX.search(path) else None
    machine = machine_of(data)
    if machine != target.machine:
        return f"made for {machine}; {wanted}"
    if any(name.startswith("libc.musl") for name in needed(data)) or "-linux-musl" in path:
        return "made for musl (Alpine); the platform has glibc: take a manylinux wheel"
    named = _PYTHON.search(path)
    if named and ".".join(named.groups()) != target.python:
        return f"made for Python {'.'.join(named.groups())}; the bundle is for {target.python}"
    return None


def machine_of(data: bytes) -> str:
    """Return the processor of an ELF file."""
    if len(data) < 20:  # noqa: PLR2004 - where e_machine ends
        return "nothing (a broken file)"
    (number,) = struct.unpack_from("<H" if data[5] == 1 else ">H", data, 18)
    return MACHINES.get(number, f"machine {number}")


def needed(data: bytes) -> list[str]:
    """Return the libraries that a 64-bit little-endian ELF file needs; none for a file that is cut off."""
    try:
        return list(_needed(data))
    except (struct.error, ValueError):
        return []


def _needed(data: bytes) -> Iterator[str]:
    start, size, count = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQ", data, start + n * size) for n in range(count)]
    loaded = [(address, length, offset) for kind, _, offset, address, _, length in headers if kind == _LOAD]
    tags = [pair for kind, _, at, _, _, length in headers if kind == _DYNAMIC for pair in _pairs(data, at, length)]
    strings = next((_offset(value, loaded) for tag, value in tags if tag == _STRINGS), None)
    if strings is None:
        return
    for tag, value in tags:
        if tag == _NEEDED:
            yield data[strings + value : data.index(b"\0", strings + value)].decode("ascii", "replace")


def _pairs(data: bytes, at: int, length: int) -> list[tuple[int, int]]:
    return [struct.unpack_from("<QQ", data, at + n) for n in range(0, length, 16)]


def _offset(address: int, loaded: list[tuple[int, int, int]]) -> int | None:
    """Return the position in the file of an address of memory."""
    return next((offset + address - at for at, length, offset in loaded if at <= address < at + length), None)
