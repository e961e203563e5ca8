"""The zip file: the same bytes for the same contents, whatever the day, the folder and the machine."""

from __future__ import annotations

import io
import zipfile

from peeklock.bundle.contents import Entries

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip file can name."""


def zipped(entries: Entries) -> bytes:
    """Sorted, with one time and with modes that follow from the contents: a laptop's own depend on its system."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for path, entry in sorted(entries.items()):
            one = zipfile.ZipInfo(path, LONG_AGO)
            one.create_system = 3  # Unix; else this machine's own is written, and Lambda ignores the modes
            one.external_attr = (0o100755 if entry.data.startswith((b"\x7fELF", b"#!")) else 0o100644) << 16
            one.compress_type = zipfile.ZIP_STORED if path.endswith(".whl") else zipfile.ZIP_DEFLATED
            made.writestr(one, entry.data)
    return out.getvalue()


def sizes(data: bytes) -> dict[str, tuple[int, int]]:
    """Bytes of each file: unzipped, a wheel as far as it is unpacked later, and zipped."""
    with zipfile.ZipFile(io.BytesIO(data)) as made:
        return {one.filename: (_unzipped(made, one), one.compress_size) for one in made.infolist()}


def _unzipped(made: zipfile.ZipFile, one: zipfile.ZipInfo) -> int:
    if not one.filename.endswith(".whl"):
        return one.file_size
    with zipfile.ZipFile(io.BytesIO(made.read(one))) as wheel:
        return sum(inner.file_size for inner in wheel.infolist())
