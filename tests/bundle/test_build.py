"""Whole bundles from planted wheels, by the real installers and without a network."""

from __future__ import annotations

import io
import json
import os
import subprocess
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import uv

from peeklock.bundle.build import MANIFEST, Bundle, build
from peeklock.bundle.project import load
from peeklock.bundle.targets import MB, TARGETS, Target
from peeklock.cli import main
from peeklock.cli.bundle import _write
from peeklock.errors import ConfigError
from tests.bundle import kit

ARM = "cp313-cp313-manylinux_2_28_aarch64"
INTEL = "cp313-cp313-manylinux_2_17_x86_64"
UV = uv.find_uv_bin()

SMALL = ("small1", "small2", "small3")

INSTALLERS = ["pip", pytest.param(UV, id="uv")]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    """One package for each of several machines, and one for all."""
    folder = tmp_path_factory.mktemp("wheels")
    code = {"planted/__init__.py": b"import importlib.metadata\n", "planted/tests/test_it.py": b""}
    for tag, machine in ((ARM, "aarch64"), (INTEL, "x86_64"), ("cp313-cp313-musllinux_1_2_aarch64", "aarch64")):
        kit.wheel(folder, "planted", {**code, "planted/x.so": kit.elf(machine)}, tag=tag)
    kit.wheel(folder, "planted", {"planted/__init__.py": b""}, tag="cp313-cp313-win_amd64")
    kit.wheel(folder, "everywhere", {"everywhere/data/a/x": b"a" * 1000, "everywhere/data/b/x": b"b" * 2000})
    for name in SMALL:
        kit.wheel(folder, name, {f"{name}/__init__.py": b""})
    kit.wheel(folder, "peeklock", {"peeklock/__init__.py": b""})
    kit.wheel(folder, "mislabelled", {"mislabelled/x.so": kit.elf("x86_64")})
    return folder


def lock(wheels: Path, *names: str) -> str:
    """Return a lock of every wheel with one of these names."""
    named = sorted(path for path in wheels.iterdir() if path.name.partition("-")[0] in names)
    pins: dict[str, list[str]] = {}
    for text in (kit.pin(path) for path in named):
        head, digest = text.rstrip().split(" \\\n")
        pins.setdefault(head, []).append(digest)
    return "".join(" \\\n".join([head, *digests]) + "\n" for head, digests in pins.items())


@pytest.fixture
def bundled(tmp_path, wheels) -> Callable[..., Bundle]:
    """Build a small project's bundle."""

    def bundled(
        *names: str, platform: str = "aws", installer: str = "pip", more: str = "", where: str = "p", **changes
    ) -> Bundle:
        folder = kit.project(tmp_path / where, platform, more, lock(wheels, *(names or ("planted", "everywhere"))))
        chosen: Target = replace(TARGETS[platform], **changes)
        with kit.offline(wheels):
            return build(load(folder, platform), chosen, installer, lambda _: None)

    return bundled


def inside(bundle: Bundle) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(bundle.data))


@pytest.mark.parametrize("installer", INSTALLERS)
@pytest.mark.parametrize(("machine", "number"), [("aarch64", 183), ("x86_64", 62)])
def test_packages_are_the_targets_and_not_this_machines(bundled, installer, machine, number):
    """The wheel for its processor and C library; whatever runs this test, one of the two is foreign."""
    bundle = bundled(installer=installer, machine=machine)
    with inside(bundle) as files:
        assert files.read("planted/x.so")[18] == number
        names = set(files.namelist())
    assert bundle.problems == ()
    own = {name for name in names if not name.startswith("peeklock/")}
    assert own == {
        "app/__init__.py",
        "app/queues.py",
        "app/work.py",
        "everywhere-1.0.dist-info/METADATA",
        "everywhere-1.0.dist-info/entry_points.txt",
        "everywhere/data/a/x",
        "everywhere/data/b/x",
        "main.py",
        "peeklock_bundle.json",
        "planted-1.0.dist-info/METADATA",
        "planted-1.0.dist-info/entry_points.txt",
        "planted/__init__.py",
        "planted/x.so",
    }


@pytest.mark.parametrize("platform", ["aws", "azure", "gcp"])
def test_the_same_bytes_each_time(bundled, tmp_path, platform):
    """In another folder, at another time, in another time zone, with other modes and times of the files."""
    changes = {"python": "3.13"}
    first = bundled(platform=platform, where="one", **changes)
    for path in (tmp_path / "one").rglob("*"):
        os.utime(path, (10**9, 10**9))
        path.chmod(0o700)
    before, os.environ["TZ"] = os.environ.get("TZ"), "Pacific/Kiritimati"
    time.tzset()
    try:
        second = bundled(platform=platform, where="a much longer/name", **changes)
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()
    assert first.data == second.data
    assert first.digest == second.digest


def test_the_same_bytes_by_either_installer(bundled):
    """Files that an installer leaves beside the packages are left out."""
    assert bundled(installer="pip", where="1").data == bundled(installer=UV, where="2").data


def test_a_changed_line_changes_the_bytes(bundled, tmp_path, wheels):
    """The same project with another number in a queue."""
    before = bundled()
    queues = tmp_path / "p" / "app" / "queues.py"
    queues.write_text(queues.read_text().replace("max_attempts=5", "max_attempts=6"))
    with kit.offline(wheels):
        after = build(load(tmp_path / "p", "aws"), TARGETS["aws"], "pip", lambda _: None)
    assert before.digest != after.digest
    assert {name for name in before.queues if before.queues[name] != after.queues[name]} == {"orders"}


def test_what_it_is_stands_in_it(bundled):
    """Platform, Python, processor, versions, the queues' fingerprints and what functions may call; nothing of this machine or of today."""
    bundle = bundled()
    with inside(bundle) as files:
        manifest = json.loads(files.read(MANIFEST))
    assert manifest.pop("peeklock")
    assert manifest == {
        "platform": "aws",
        "python": "3.13",
        "arch": "arm64",
        "queues": dict(bundle.queues),
        "entries": {"app.queues.ORDERS": None, "app.queues.Queue": None, "app.queues.RECEIPTS": None},
        "packages": {"everywhere": "1.0", "planted": "1.0"},
    }


def test_azure_finds_packages_where_it_looks(bundled):
    """Below .python_packages, with the function app's files at the root."""
    with inside(bundled(platform="azure", python="3.13")) as files:
        names = set(files.namelist())
    assert {"main.py", "app/work.py", "peeklock/platforms/servicebus/bind.py"} < names
    assert ".python_packages/lib/site-packages/planted/x.so" in names


def test_google_installs_from_the_bundle(bundled):
    """Wheels as they are, beside a list with their hashes; sizes are as installed."""
    bundle = bundled(platform="gcp")
    with inside(bundle) as files:
        names = [name for name in files.namelist() if not name.startswith(("peeklock", "app/"))]
        listed = files.read("requirements.txt").decode()
    vendored = ["vendor/everywhere-1.0-py3-none-any.whl", f"vendor/planted-1.0-{INTEL}.whl"]
    assert names == ["main.py", "requirements.txt", *vendored]
    assert "planted==1.0" in listed
    assert "--hash=sha256:" in listed
    assert next(part.unzipped for part in bundle.parts if part.name == "everywhere") > 3000


@pytest.mark.parametrize(
    ("platform", "path"),
    [("aws", "mislabelled/x.so"), ("gcp", "vendor/mislabelled-1.0-py3-none-any.whl/mislabelled/x.so")],
)
def test_a_shared_object_for_another_machine(bundled, platform, path):
    """Named, though its wheel claims to be for all."""
    bundle = bundled("mislabelled", platform=platform, machine="aarch64")
    assert bundle.problems == (f"{path}: made for x86_64; the bundle is for Linux on aarch64",)


def test_code_that_could_not_start(tmp_path, wheels, capsys):
    """Is not written: an import that is in no lock has exit code 1, and what is no Python 2. (trials 3.7, 5.18)"""
    folder = kit.project(tmp_path / "p", "gcp", "", lock(wheels, "everywhere"))
    (folder / "app" / "work.py").write_text("import everywhere\nimport pydantic\n")
    code, out, err = run(folder, wheels, capsys, "gcp")
    assert (code, "nothing written" in out) == (1, True)
    assert "peeklock bundle: app/work.py:2: imports pydantic, which is in no package of lock.txt" in err
    (folder / "app" / "work.py").write_text("import everywhere\nimport (\n")
    code, out, err = run(folder, wheels, capsys, "gcp")
    assert (code, out) == (2, "")
    assert "app/work.py:2: " in err
    assert not (folder / "build").exists()


@pytest.mark.parametrize("name", ["queue.py", "json/__init__.py"])
def test_a_module_that_hides_pythons_own(tmp_path, wheels, capsys, name):
    """It is refused: peeklock and the runtime would import it instead. Without an __init__.py it hides nothing."""
    folder = kit.project(tmp_path / "p", "gcp", "", lock(wheels, "everywhere"))
    (folder / "entry" / name).parent.mkdir(exist_ok=True)
    (folder / "entry" / name).write_text("")
    code, _, err = run(folder, wheels, capsys, "gcp")
    assert code == 1
    assert f"entry/{name}: it would hide Python's own module {name.split('.')[0].split('/')[0]}, " in err


def test_a_bundle_without_what_the_platform_looks_for(bundled, tmp_path):
    """Google calls main.py; of a function app both files or none, since peeklock.infra.azure renders both."""
    kit.project(tmp_path / "q", "gcp", "", "")
    (tmp_path / "q" / "entry" / "main.py").rename(tmp_path / "q" / "entry" / "app_main.py")
    bundle = build(load(tmp_path / "q", "gcp"), TARGETS["gcp"], "pip", lambda _: None)
    assert bundle.problems == (
        (
            "there is no main.py at the bundle's root, where the platform looks for it: name its folder as root in"
            " [tool.peeklock.bundle.gcp]"
        ),
    )
    kit.project(tmp_path / "r", "azure", "", "")
    target = replace(TARGETS["azure"], python=kit.THIS_PYTHON)
    assert build(load(tmp_path / "r", "azure"), target, "pip", lambda _: None).problems == ()
    (tmp_path / "r" / "entry" / "function_app.py").write_text("")
    (problem,) = build(load(tmp_path / "r", "azure"), target, "pip", lambda _: None).problems
    assert problem.startswith("there is no host.json at the bundle's root")


def test_a_bundle_of_exactly_the_limit(bundled):
    """It is taken; a byte less is not enough."""
    size = bundled(where="1").unzipped
    assert bundled(where="2", most=size).problems == ()
    assert bundled(where="3", most=size - 1).problems != ()


def test_the_budget(bundled):
    """Over it, by how much; under it, nothing."""
    more, budget = "budget = {}", bundled(where="1").unzipped / MB
    assert bundled(more=more.format(budget), where="2").problems == ()
    (problem,) = bundled(more=more.format(0.1), where="3").problems
    assert problem.startswith(f"{budget:.1f} MB unzipped is {budget - 0.1:.1f} MB over the budget of 0.1 MB: make")
    assert problem.endswith("[tool.peeklock.bundle.aws]")


def test_limits_of_the_cloud(bundled):
    """A bundle that Lambda does not take is refused; one that goes through a bucket is reported."""
    bundle = bundled(most=1000, direct=1000)
    assert "and Lambda takes 0.0 MB: leave out" in bundle.problems[0]
    assert "uploads it to a bucket" in bundle.notes[0]
    assert bundled(where="2").notes == ()


def test_only_some_folders(bundled):
    """`only` chooses among a package's data."""
    with inside(bundled(more='only = { "everywhere/data" = ["a"] }')) as files:
        assert [name for name in files.namelist() if name.startswith("everywhere/")] == ["everywhere/data/a/x"]


@pytest.mark.parametrize("installer", INSTALLERS)
def test_no_wheel_for_the_target(bundled, installer):
    """Said with the installer's words and what to do."""
    with pytest.raises(ConfigError, match=r"(?s)for arm64 and Python 3.11:\n\n.*pin a version that has one"):
        bundled("planted", installer=installer, python="3.11")


@pytest.mark.parametrize("platform", ["aws", "azure", "gcp"])
def test_the_command_that_makes_a_lock(tmp_path, wheels, platform, monkeypatch):
    """The printed command makes a lock of which a bundle can be built: of wheels, with hashes, without peeklock."""
    folder = kit.project(tmp_path / "p", platform, lock="planted")
    (folder / "lock.txt").unlink()
    (folder / "requirements.in").write_text("peeklock\nplanted\n")
    monkeypatch.chdir(folder)
    target = replace(TARGETS[platform], python="3.13")
    with kit.offline(wheels), kit.installers():
        with pytest.raises(ConfigError, match="there is no lock") as refused:
            build(load(folder, platform), target, "pip", lambda _: None)
        command = next(line for line in str(refused.value).splitlines() if line.startswith("  uv "))
        subprocess.run(command, shell=True, check=True, capture_output=True)
        bundle = build(load(folder, platform), target, "pip", lambda _: None)
    assert [part.name for part in bundle.parts if part.name in {"planted", "everywhere"}] == ["planted"]


@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_hash_that_differs(tmp_path, wheels, installer):
    """Nothing is taken that the lock does not name."""
    wrong = "everywhere==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n"
    folder = kit.project(tmp_path / "p", lock=wrong)
    with kit.offline(wheels), pytest.raises(ConfigError, match="If hashes differ, renew the lock"):
        build(load(folder, "aws"), TARGETS["aws"], installer, lambda _: None)


def run(folder: Path, wheels: Path, capsys, *arguments: str) -> tuple[int, str, str]:
    """The command, in a project's folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with kit.offline(wheels):
            code = main(["bundle", *arguments])
    finally:
        os.chdir(before)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_person_sees_the_largest_parts(tmp_path, wheels, capsys):
    """The file, its size, what it is for; progress beside it; twice the same bytes."""
    folder = kit.project(tmp_path / "p", "gcp", "budget = 40\n", lock(wheels, "planted", "everywhere", *SMALL))
    code, out, err = run(folder, wheels, capsys, "gcp")
    first = (folder / "build" / "bundle" / "gcp.zip").read_bytes()
    assert code == 0
    assert out.splitlines()[0].split() == ["part", "version", "files", "unzipped", "zipped"]
    assert out.splitlines()[1].startswith("peeklock ")
    assert out.splitlines()[9].startswith("2 others ")
    assert "build/bundle/gcp.zip written:" in out
    assert "MB unzipped of 40 MB allowed" in out
    assert "for gcp, Python 3.13, x86_64; queues orders " in out
    assert err.startswith("== having the packages of lock.txt for x86_64, Python 3.13, by pip\n== packing ")
    assert run(folder, wheels, capsys, "gcp", "--out", "other/x.zip")[0] == 0
    assert (folder / "other" / "x.zip").read_bytes() == first
    assert [path.name for path in (folder / "other").iterdir()] == ["x.zip"]


def test_a_machine_sees_one_object(tmp_path, wheels, capsys):
    """And what is not fit is not written, with exit code 1; the rest of the parts is one line."""
    folder = kit.project(tmp_path / "p", "gcp", "budget = 0.01\n", lock(wheels, "planted", "everywhere"))
    code, out, err = run(folder, wheels, capsys, "gcp", "--json")
    report = json.loads(out)
    assert (code, report["written"], report["platform"]) == (1, False, "gcp")
    assert report["problems"][0] in err
    assert sum(part["files"] for part in report["parts"]) == report["files"]
    assert not (folder / "build").exists()
    code, out, _ = run(folder, wheels, capsys, "gcp")
    assert (code, "nothing written" in out) == (1, True)


def test_what_cannot_be_built_is_2(tmp_path, wheels, capsys):
    """With one line that says why."""
    folder = kit.project(tmp_path / "p", "gcp", "", lock(wheels, "everywhere"))
    code, _, err = run(folder, wheels, capsys, "aws")
    assert (code, "does not say what is in a bundle for aws" in err) == (2, True)
    (folder / "taken").write_text("")
    code, _, err = run(folder, wheels, capsys, "gcp", "--out", "taken/x.zip")
    assert (code, "--out taken/x.zip: " in err) == (2, True)
    (folder / "folder").mkdir()
    for place in ("folder", "/dev/null"):
        code, _, err = run(folder, wheels, capsys, "gcp", "--out", place)
        assert (code, f"--out {place}: it is no regular file; name another one" in err) == (2, True)
    assert Path("/dev/null").is_char_device()


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    """Nothing is left behind, and the bundle before stays whole."""
    out = tmp_path / "aws.zip"
    out.write_bytes(b"before")

    def full(path: Path, data: bytes) -> int:
        path.open("wb").close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        _write(out, b"after")
    assert out.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [out]
