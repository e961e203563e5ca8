"""`python -m benchmarks [--rounds N]`: a table, and build/bench.json."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import cloudtasks, defects, dev, imports, messages, servicebus, stores

ROUNDS = 7


def main(rounds: int) -> None:
    """Measure, print, write. A number is a fact of this machine; what is compared is the ratio."""
    print("measuring imports ...", file=sys.stderr)
    results: list[dict[str, Any]] = imports.measure(rounds)
    print("measuring messages ...", file=sys.stderr)
    results += messages.measure(rounds)
    print("measuring stores ...", file=sys.stderr)
    results += stores.measure(rounds)
    print("measuring the Service Bus emulator ...", file=sys.stderr)
    results += servicebus.measure()
    print("measuring the Cloud Tasks emulator ...", file=sys.stderr)
    results += cloudtasks.measure()
    print("measuring peeklock dev ...", file=sys.stderr)
    results += dev.measure()
    print("running the defects ...", file=sys.stderr)
    results += defects.measure()
    print(f"{'':82}  {'ours':>9}  {'theirs':>9}  {'ratio':>6}  {'target':>6}")
    for one in results:
        if one["ratio"] is None:
            print(f"{one['name']:82}  {one['ours']:>9}  {one['theirs']}")
            continue
        target = "" if one["target"] is None else f"{one['target']:.2f}"
        print(
            f"{one['name']:82}  {show(one['ours'], one['unit'])}  {show(one['theirs'], one['unit'])}  {one['ratio']:6.2f}  {target:>6}"
        )
    out = Path("build/bench.json")
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written to {out}", file=sys.stderr)


def show(value: float, unit: str) -> str:
    return f"{value:9.0f}" if not unit else f"{value:6.1f} {unit:2}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="how often each pair is measured in turn (default: %(default)s)"
    )
    main(parser.parse_args().rounds)
