"""The ledger while it grows."""

from __future__ import annotations

from pathlib import Path

from tests.soak.laws import parse


class Effects:
    """The keys that have had their effect. Each look goes on where the last one stopped: the whole of a ledger of ten
    thousand messages takes longer to read than the functions take meanwhile."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._read = 0
        self._keys: set[str] = set()

    def keys(self) -> set[str]:
        if not self._ledger.exists():
            return self._keys
        with self._ledger.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):  # it is being written
                    break
                self._read += len(line)
                parsed = parse(line)
                if parsed is not None and parsed["what"] == "effect":
                    self._keys.add(parsed["key"])
        return self._keys
