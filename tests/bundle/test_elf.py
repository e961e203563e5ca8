"""Shared objects for the wrong machine are found, and those for the right one are not."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
from pathlib import Path

import pytest

from peeklock.bundle import elf
from peeklock.bundle.contents import Entry
from peeklock.bundle.targets import TARGETS
from tests.bundle import kit

ARM = TARGETS["aws"]
PE, MACH_O = b"MZ\x90\0", b"\xcf\xfa\xed\xfe" + bytes(20)


@pytest.mark.parametrize(
    ("path", "data", "wrong"),
    [
        ("a/x.so", kit.elf("aarch64"), None),
        ("a/x.so.1.2", kit.elf("aarch64", ()), None),
        ("a/x.cpython-313-aarch64-linux-gnu.so", kit.elf("aarch64"), None),
        ("a/x.abi3.so", kit.elf("aarch64"), None),
        ("a/x.py", b"print()", None),
        ("a/x.exe", PE, None),
        ("a/x.so", kit.elf("x86_64"), "made for x86_64; the bundle is for Linux on aarch64"),
        ("a/program", kit.elf("x86_64"), "made for x86_64"),
        ("a/x.so", kit.elf("i386"), "made for i386"),
        ("a/x.so", kit.elf("aarch64", ("libm.so.6", "libc.musl-aarch64.so.1")), "made for musl"),
        ("a/x.cpython-313-aarch64-linux-musl.so", kit.elf("aarch64", ()), "made for musl"),
        ("a/x.cpython-312-aarch64-linux-gnu.so", kit.elf("aarch64"), "made for Python 3.12; the bundle is for 3.13"),
        ("a/x.pyd", PE, "made for Windows"),
        ("a/x.dll", PE, "made for Windows"),
        ("a/x.dylib", MACH_O, "made for macOS"),
        ("a/x.cpython-313-darwin.so", MACH_O, "made for macOS"),
        ("a/x.so", b"text", "made for another system"),
        ("a/x.so", b"\x7fELF\x02\x01", "made for nothing (a broken file)"),
        ("a/x.so", kit.elf("aarch64")[:70], None),
    ],
)
def test_each_kind_of_file(path, data, wrong):
    """A sentence names what a file was made for."""
    problem = elf.problem(path, data, ARM)
    assert problem is None if wrong is None else (problem or "").startswith(wrong)


def test_the_byte_order_is_the_files():
    """A big-endian file is read as one."""
    data = bytearray(kit.elf("aarch64"))
    data[5] = 2
    struct.pack_into(">H", data, 18, 22)
    assert elf.machine_of(bytes(data)) == "s390x"
    struct.pack_into(">H", data, 18, 999)
    assert elf.machine_of(bytes(data)) == "machine 999"


def test_needed_libraries_are_read_in_order():
    """Also where a file is loaded elsewhere than it lies."""
    assert elf.needed(kit.elf("x86_64", ("libm.so.6", kit.MUSL), base=0x400000)) == ["libm.so.6", kit.MUSL]
    assert elf.needed(b"\x7fELF" + bytes(10)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the interpreter is no ELF file")
def test_a_real_file():
    """This interpreter was made for this machine, with a C library."""
    data = Path(sys.executable).resolve().read_bytes()
    assert elf.machine_of(data) in set(elf.MACHINES.values())
    assert any(name.startswith("libc.") for name in elf.needed(data))


def test_wheels_are_looked_into():
    """The file is named within its wheel."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as wheel:
        wheel.writestr("planted/x.so", kit.elf("aarch64"))
        wheel.writestr("planted/y.py", "")
    problems = elf.problems({"vendor/p-1-py3-none-any.whl": Entry(part="p", data=out.getvalue())}, TARGETS["gcp"])
    assert problems == ["vendor/p-1-py3-none-any.whl/planted/x.so: made for aarch64; the bundle is for Linux on x86_64"]
