"""Run the own tests of azure-servicebus against the emulator: `make sdk-tests`.

Arguments: an environment that has what they need (requirements/sdk-tests.txt), the folder of the SDK's tests, and patterns of
the files to run, where that is not all of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.sdk import verdict
from tests.sdk.verdict import RESULTS, SLOW, Table, Verdict
from tests.support import ROOT

WORKERS = 16
"""The tests sleep most of their time."""
FEWER_WORKERS = 4
LONGEST_TEST, LONGEST_RUN = 390, 900
"""Seconds. One of the tests sleeps for six minutes."""
ENDED = (0, 1)
"""Exit codes of pytest: all passed, or some failed."""
OPTIONS = (
    "-m", "pytest", "-p", "tests.sdk.plugin", "-p", "no:cacheprovider", "-p", "no:logging", "-c", os.devnull, "--rootdir=.",
    "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function",
    "--dist=load", "--maxschedchunk=1", "--show-capture=no", "--tb=line", "-q", f"--timeout={LONGEST_TEST}",
)  # fmt: skip


def main(environment: Path, folder: Path, *patterns: str) -> int:
    """Return the exit code. What fails gets a second try, with less beside it: the tests measure time."""
    table, logs = verdict.read(), ROOT / "build" / "sdk"
    python = environment.resolve() / "bin" / "python"
    files = sorted(
        str(file.relative_to(folder)) for pattern in patterns or table.files for file in folder.glob(pattern)
    )
    table = table.of(files)
    code = run([str(python), *OPTIONS, "-n", str(WORKERS), *files], folder, table, logs / "first")
    if code not in ENDED:
        print(f"the run did not come to its end (exit code {code}): see {logs / 'first.log'}")
        return 1
    results = verdict.results(logs / "first.jsonl")
    failed = verdict.judge(results, table).failed
    if failed:
        print(f"{len(failed)} failed, and are tried again:", *sorted(failed), sep="\n  ", flush=True)
        again = [results[name]["test"] for name in failed]
        run([str(python), *OPTIONS, "-n", str(FEWER_WORKERS), *again], folder, table, logs / "second")
        results |= verdict.results(logs / "second.jsonl")
    return report(verdict.judge(results, table), table)


def run(command: Sequence[str], folder: Path, table: Table, log: Path) -> int:
    """Return the exit code: that of a killed process, where it took too long."""
    results = log.with_suffix(".jsonl")
    results.unlink(missing_ok=True)
    path = os.pathsep.join(map(str, (ROOT, ROOT / "src")))
    names = {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore", RESULTS: str(results), SLOW: " ".join(table.slow)}
    with log.with_suffix(".log").open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **names}, stdout=output, stderr=output, start_new_session=True
        )
        try:
            return process.wait(LONGEST_RUN)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()


def report(outcome: Verdict, table: Table) -> int:
    """Print it, and return the exit code."""
    for why in dict.fromkeys(table.cannot.values()):
        print(f"cannot pass: {why}", *[name for name, reason in table.cannot.items() if reason == why], sep="\n  ")
    for name, why in table.depends.items():
        print(f"by the machine's speed: {why}", name, sep="\n  ")
    for name, why in sorted(outcome.failed.items()):
        print(f"FAILED {name}\n  {why}")
    for name in outcome.now_pass:
        print(f"PASSES, though tests/sdk/table.toml says that it cannot: {name}")
    for name in outcome.unknown:
        print(f"HAS NO RESULT, though tests/sdk/table.toml names it: {name}")
    print(f"expected to fail: {outcome.expected}")
    print(f"{outcome.passed} passed, {len(outcome.failed)} failed, {outcome.skipped} skipped")
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
