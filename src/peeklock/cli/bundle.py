"""`peeklock bundle`: what a function runs, as one zip file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peeklock.cli.table import Table
from peeklock.errors import ConfigError

if TYPE_CHECKING:
    from peeklock.bundle.build import Bundle
    from peeklock.bundle.project import BundleConfig

HELP = "pack what a function runs into a zip file, for the cloud's processor"

EPILOG = """\
What is in it is said in pyproject.toml:

  [tool.peeklock.bundle]
  queues = ["app.queues"]             # modules that declare queues: their fingerprints are told in the bundle

  [tool.peeklock.bundle.aws]          # azure and gcp likewise
  sources = ["app"]                   # folders and files of your own code
  root = "azure"                      # a folder whose files lie at the bundle's root: function_app.py, main.py
  include = ["app/_version.py"]       # taken though git ignores it, or though it looks like a secret
  exclude = ["*.ipynb"]               # patterns of what is left out; what git ignores is never in
  lock = "requirements-aws.txt"       # third-party packages, pinned and with hashes, without peeklock
  budget = 25                         # megabytes, unzipped
  only = { "botocore/data" = ["dynamodb", "sqs"] }  # of that folder's folders, these alone

Packages come from the lock alone, as wheels for the cloud's processor and Python, whatever this machine is; by uv if it is
there, else by pip. The same sources and lock give the same bytes. Tests, commands, caches, databases and peeklock's own tools
stay out, and so does what git ignores. Files that look like secrets are refused.

examples:
  peeklock bundle aws                        build/bundle/aws.zip, for arm64
  peeklock bundle aws --arch x86_64          for a function on x86_64
  peeklock bundle gcp --out dist/gcp.zip     somewhere else
  peeklock bundle aws --list                 your own files that would be in it; builds nothing
  peeklock bundle azure --json | jq .parts   sizes, for a machine

exit codes:
  0  it is written
  1  it is not: over the budget, over the cloud's limit, a shared object for another machine, or an import that is nowhere
  2  it could not be built: no table in pyproject.toml, no lock, a package without a wheel, a hash that differs, code that the
     cloud's Python does not compile, a file that looks like a secret
"""

LARGEST = 8


def add_to(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "bundle", help=HELP, description=HELP, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("platform", metavar="CLOUD", choices=("aws", "azure", "gcp"), help="aws, azure or gcp")
    parser.add_argument("--out", metavar="FILE", help="default: build/bundle/CLOUD.zip")
    parser.add_argument("--arch", choices=("arm64", "x86_64"), help="the function's processor; AWS only, arm64 there")
    parser.add_argument("--list", action="store_true", help="list the project's own files in it, and build nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    """Build, tell, write if it can be deployed, and return the exit code."""
    from peeklock.bundle.build import build
    from peeklock.bundle.packages import tool
    from peeklock.bundle.project import load
    from peeklock.bundle.targets import target

    config, chosen = load(Path.cwd(), given.platform), target(given.platform, given.arch)
    if given.list:
        return _list(config, as_json=given.json)
    made = build(config, chosen, tool(chosen), lambda text: print(f"== {text}", file=sys.stderr, flush=True))
    out = Path(given.out or f"build/bundle/{given.platform}.zip")
    if not made.problems:
        _write(out, made.data)
    _json(made, out) if given.json else _text(made, out, config.budget)
    for problem in made.problems:
        print(f"peeklock bundle: {problem}", file=sys.stderr)
    return int(bool(made.problems))


def _list(config: BundleConfig, *, as_json: bool) -> int:
    """Each of the project's files by its path in the bundle, and where it comes from; returns the exit code."""
    from peeklock.bundle.build import own_files

    files = {path: entry.source for path, entry in sorted(own_files(config).items())}
    if as_json:
        print(json.dumps({"files": files}, ensure_ascii=False))
        return 0
    for path, source in files.items():
        print(path if path == source else f"{path}  from {source}")
    return 0


def _write(out: Path, data: bytes) -> None:
    """At once or not at all: a program may be reading the one before."""
    scratch = out.with_name(f"{out.name}.new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(data)
        scratch.replace(out)
    except OSError as exc:
        raise ConfigError(f"--out {out}: {exc.strerror}") from None


def _text(made: Bundle, out: Path, budget: float | None) -> None:
    from peeklock.bundle.build import megabytes

    table = Table(part=32, version=16, files=6, unzipped=9, zipped=0)
    for part in made.parts[:LARGEST]:
        table.row(part.name, part.version, part.files, megabytes(part.unzipped), megabytes(part.zipped))
    rest = made.parts[LARGEST:]
    if rest:
        unzipped, zipped = (sum(getattr(part, field) for part in rest) for field in ("unzipped", "zipped"))
        files = sum(part.files for part in rest)
        table.row(f"{len(rest)} others", "", files, megabytes(unzipped), megabytes(zipped))
    allowed = "" if budget is None else f" of {budget:g} MB allowed"
    state = "not written" if made.problems else "written"
    table.line(
        f"\n{out} {state}: {made.files} files, {megabytes(made.unzipped)} unzipped{allowed},"
        f" {megabytes(len(made.data))} zipped"
    )
    declared = ", ".join(f"{name} {fingerprint}" for name, fingerprint in made.queues.items())
    table.line(f"for {made.target.platform}, Python {made.target.python}, {made.target.arch}; queues {declared}")
    table.line(f"sha256 {made.digest}")
    for note in made.notes:
        table.line(note)


def _json(made: Bundle, out: Path) -> None:
    told = {
        "out": str(out),
        "written": not made.problems,
        "platform": made.target.platform,
        "python": made.target.python,
        "arch": made.target.arch,
        "queues": dict(made.queues),
        "files": made.files,
        "unzipped": made.unzipped,
        "zipped": len(made.data),
        "sha256": made.digest,
        "problems": list(made.problems),
        "notes": list(made.notes),
        "parts": [
            {field: getattr(part, field) for field in ("name", "version", "files", "unzipped", "zipped")}
            for part in made.parts
        ],
    }
    print(json.dumps(told, ensure_ascii=False))
