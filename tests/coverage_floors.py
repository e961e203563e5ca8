"""Hold the branch coverage to its floors: every line and branch of the core, nine tenths of each adapter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
ADAPTERS = (
    "azure_identity",
    "bundle/",
    "cli/",
    "dev/",
    "infra/",
    "observability/powertools",
    "platforms/",
    "replay/",
    "sending/strict_sender",
    "sending/file",
    "sending/memory",
    "stores/",
    "testing/contracts/",
)
FLOORS = {"core": 100, "adapters": 90}


def main() -> int:
    """Print both reports; 1 when a floor is not reached."""
    subprocess.run([sys.executable, "-m", "coverage", "combine", "--append", "--quiet"], check=False, cwd=ROOT)
    files = sorted(str(path.relative_to(ROOT)) for path in SOURCE.rglob("*.py"))
    groups: dict[str, list[str]] = {"core": [], "adapters": []}
    for file in files:
        name = file.removeprefix("src/peeklock/")
        groups["adapters" if name.startswith(("src/cloudqueues/", *ADAPTERS)) else "core"].append(file)
    codes = [report(name, groups[name], floor) for name, floor in FLOORS.items()]
    return max(codes)


def report(name: str, files: list[str], floor: int) -> int:
    print(f"== {name}: at least {floor} % of lines and branches", flush=True)
    command = [
        sys.executable,
        "-m",
        "coverage",
        "report",
        f"--include={','.join(files)}",
        f"--fail-under={floor}",
        "--show-missing",
    ]
    return subprocess.run(command, check=False, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
