"""Writing the zip file: the same bytes for the same contents, on any day, in any folder, on any machine."""

from __future__ import annotations

import io
import zipfile

from peeklock.bundle.contents import Entries

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""Earliest time that a zip file can have."""


def zipped(entries: Entries) -> bytes:
    """Return the zip file of entries: sorted, with one time, and with modes that follow from the contents, since a laptop's own
    depend on its system."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, entry in sorted(entries.items()):
            info = zipfile.ZipInfo(path, LONG_AGO)
            info.create_system = 3  # Unix; else this machine's own is written, and Lambda ignores the modes
            info.external_attr = (0o100755 if entry.data.startswith((b"\x7fELF", b"#!")) else 0o100644) << 16
            info.compress_type = zipfile.ZIP_STORED if path.endswith(".whl") else zipfile.ZIP_DEFLATED
            archive.writestr(info, entry.data)
    return out.getvalue()


def sizes(data: bytes) -> dict[str, tuple[int, int]]:
    """Return the bytes of each file, unzipped (of a wheel, of what is unpacked later) and zipped."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename: (_unzipped(archive, info), info.compress_size) for info in archive.infolist()}


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    if not info.filename.endswith(".whl"):
        return info.file_size
    with zipfile.ZipFile(io.BytesIO(archive.read(info))) as wheel:
        return sum(inner.file_size for inner in wheel.infolist())
