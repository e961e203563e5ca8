"""`peeklock bundle`: pack a function's code and packages into one zip file."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peeklock.cli.table import Table
from peeklock.errors import ConfigError

if TYPE_CHECKING:
    from peeklock.bundle.build import Bundle
    from peeklock.bundle.project import BundleConfig

HELP = "pack a function's code and packages into a zip file, for the cloud's processor"

EPILOG = """\
The contents are named in pyproject.toml:

  [tool.peeklock.bundle]
  queues = ["app.queues"]             # modules that declare queues: their fingerprints are written into the bundle

  [tool.peeklock.bundle.aws]          # azure and gcp likewise
  sources = ["app"]                   # folders and files of your own code
  root = "azure"                      # a folder whose files lie at the bundle's root: function_app.py, main.py
  include = ["app/_version.py"]       # taken even where git ignores it or it looks like a secret
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
  1  it is not: over the budget, over the cloud's limit, a shared object for another machine, or an import that fails,
     a file that the cloud needs at the root, or a module with the name of one of Python's own
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


def run(options: argparse.Namespace) -> int:
    """Build the bundle, write it if it can be deployed, report it, and return the exit code."""
    from peeklock.bundle.build import build
    from peeklock.bundle.packages import tool
    from peeklock.bundle.project import load
    from peeklock.bundle.targets import target

    config, chosen = load(Path.cwd(), options.platform), target(options.platform, options.arch)
    if options.list:
        return _list(config, as_json=options.json)
    bundle = build(config, chosen, tool(chosen), lambda text: print(f"== {text}", file=sys.stderr, flush=True))
    out = Path(options.out or f"build/bundle/{options.platform}.zip")
    if not bundle.problems:
        _write(out, bundle.data)
    _json(bundle, out) if options.json else _text(bundle, out, config.budget)
    for problem in bundle.problems:
        print(f"peeklock bundle: {problem}", file=sys.stderr)
    return int(bool(bundle.problems))


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
    """Write a file at once or not at all: a program may be reading the one before."""
    if out.exists() and not out.is_file():
        raise ConfigError(f"--out {out}: it is no regular file; name another one")
    scratch = out.with_name(f"{out.name}.new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(data)
        scratch.replace(out)
    except OSError as exc:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise ConfigError(f"--out {out}: {exc.strerror}") from None


def _text(bundle: Bundle, out: Path, budget: float | None) -> None:
    from peeklock.bundle.build import megabytes

    table = Table(part=32, version=16, files=6, unzipped=9, zipped=0)
    for part in bundle.parts[:LARGEST]:
        table.row(part.name, part.version, part.files, megabytes(part.unzipped), megabytes(part.zipped))
    rest = bundle.parts[LARGEST:]
    if rest:
        unzipped, zipped = (sum(getattr(part, field) for part in rest) for field in ("unzipped", "zipped"))
        files = sum(part.files for part in rest)
        table.row(f"{len(rest)} others", "", files, megabytes(unzipped), megabytes(zipped))
    allowed = "" if budget is None else f" of {budget:g} MB allowed"
    state = f"{out} written" if not bundle.problems else "nothing written"
    table.line(
        f"\n{state}: {bundle.files} files, {megabytes(bundle.unzipped)} unzipped{allowed},"
        f" {megabytes(len(bundle.data))} zipped"
    )
    declared = ", ".join(f"{name} {fingerprint}" for name, fingerprint in bundle.queues.items())
    table.line(f"for {bundle.target.platform}, Python {bundle.target.python}, {bundle.target.arch}; queues {declared}")
    if not bundle.problems:
        table.line(f"sha256 {bundle.digest}")
    for note in bundle.notes:
        table.line(note)


def _json(bundle: Bundle, out: Path) -> None:
    report = {
        "out": None if bundle.problems else str(out),
        "written": not bundle.problems,
        "platform": bundle.target.platform,
        "python": bundle.target.python,
        "arch": bundle.target.arch,
        "queues": dict(bundle.queues),
        "files": bundle.files,
        "unzipped": bundle.unzipped,
        "zipped": len(bundle.data),
        "sha256": None if bundle.problems else bundle.digest,
        "problems": list(bundle.problems),
        "notes": list(bundle.notes),
        "parts": [
            {field: getattr(part, field) for field in ("name", "version", "files", "unzipped", "zipped")}
            for part in bundle.parts
        ],
    }
    print(json.dumps(report, ensure_ascii=False))
