"""Contents of a bundle, as pure functions of files."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

from peeklock.bundle import archive, build, contents, packages, project, queues, third_party
from peeklock.bundle.contents import Entry
from peeklock.bundle.targets import TARGETS, target
from peeklock.errors import ConfigError
from tests.bundle import kit
from tests.support import ROOT


@pytest.mark.parametrize(("size", "refused"), [(262_144_000, False), (262_144_001, True)])
def test_lambda_takes_262_144_000_bytes_unzipped(size, refused):
    """The number is in Lambda's own error."""
    assert bool(build._too_large(size, target("aws", "arm64"))) is refused
    assert build._too_large(size, target("gcp", "x86_64")) == []


@pytest.mark.parametrize(("size", "noted"), [(52_428_800, False), (52_428_801, True)])
def test_lambda_takes_50_mb_zipped_directly(size, noted):
    """A larger bundle is uploaded to a bucket."""
    assert bool(build._notes(size, target("aws", "arm64"))) is noted


def test_a_function_gets_no_tools():
    """Everything above the platforms in the layers of pyproject.toml stays out, and nothing else."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    above = layers[: layers.index("testing | replay") + 1]
    tools = {name.strip() for layer in above for name in layer.split("|")}
    assert {name.removesuffix(".py") for name in contents.NEVER} == tools
    shipped = {path.split("/")[1].removesuffix(".py") for path in contents.library()}
    present = {path.stem for path in (ROOT / "src" / "peeklock").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert shipped == present - tools - {"py", "__pycache__"}


def test_what_a_function_gets_imports_no_tool():
    """Also not inside a function."""
    tools = {f"peeklock.{name.removesuffix('.py')}" for name in contents.NEVER}
    for path, entry in contents.library().items():
        for node in ast.walk(ast.parse(entry.data)):
            named = node.module if isinstance(node, ast.ImportFrom) else None
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [named or ""]
            assert not [name for name in names if any(f"{name}.".startswith(f"{tool}.") for tool in tools)], path


def test_the_projects_own_code(tmp_path):
    """Packages with those around them and data files; no tests, caches, secrets of a laptop or lists of requirements."""
    for name in (
        "shop/__init__.py",
        "shop/orders/work.py",
        "shop/orders/rates.json",
        "shop/orders/test_work.py",
        "shop/orders/tests/data.json",
        "shop/orders/__pycache__/work.cpython-311.pyc",
        "shop/orders/.env",
        "shop/other/work.py",
        "shop/README.md",
        "src/lib/__init__.py",
        "src/lib/deep/x.py",
        "azure/function_app.py",
        "azure/local.settings.json",
        "azure/requirements-lock.txt",
        "tool.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    own_files = contents.own(tmp_path, ["shop/orders", "src/lib/deep", "tool.py"], "azure")
    assert {path: entry.part for path, entry in own_files.items()} == {
        "shop/__init__.py": "shop",
        "shop/orders/work.py": "shop",
        "shop/orders/rates.json": "shop",
        "lib/__init__.py": "lib",
        "lib/deep/x.py": "lib",
        "tool.py": "tool.py",
        "function_app.py": "azure/",
    }


@pytest.mark.parametrize(
    ("source", "fix"),
    [
        ("shp", "there is no 'shp' in"),
        ("../elsewhere", "takes what lies in the project's folder"),
        ("/etc", "takes what lies in the project's folder"),
        ("linked", r"link to a folder, which a bundle does not follow; put the folder itself there"),
    ],
)
def test_sources_that_cannot_be(tmp_path, source, fix):
    """The text says which, and what to do."""
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "loop").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=fix):
        contents.own(tmp_path, [source], None)


@pytest.mark.parametrize(
    ("source", "link", "target"),
    [
        ("app", "app/key.pem", "../../outside/key.pem"),
        ("app", "app/deep/key.pem", "../../../outside/key.pem"),
        ("app", "app/key.pem", "../chain"),
        ("app", "app/near.pem", "../../project-2/key.pem"),
        ("app/deep", "app/__init__.py", "../../outside/key.pem"),
        ("linked", "linked", "../outside"),
        ("linked/deep", "linked", "../outside"),
        ("linked.py", "linked.py", "../outside/key.pem"),
    ],
)
def test_a_link_out_of_the_project_is_refused(tmp_path, source, link, target):
    """To a file, to a folder, or in place of a package's own file, by one step or two; its name is in the error. (trials
    2.7)"""
    for folder in ("outside/deep", "project-2", "project/app/deep"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("outside/key.pem", "outside/deep/key.pem", "project-2/key.pem", "project/app/deep/main.py"):
        (tmp_path / file).write_text("secret")
    root = tmp_path / "project"
    (root / "chain").symlink_to(tmp_path / "outside" / "key.pem")
    (root / link).symlink_to(target)
    with pytest.raises(ConfigError, match=rf"{link}[^ ]* is a link that leads to .*outside of"):
        contents.own(root, [source], None)
    with pytest.raises(ConfigError, match=rf"{link}[^ ]* is a link that leads to .*outside of"):
        contents.own(root, [source], source)


@pytest.mark.parametrize(
    ("target", "fix"),
    [
        ("../.env", r"app/linked\.py is a link to \.env, which a bundle leaves out"),
        ("../local.settings.json", r"app/linked\.py is a link to local\.settings\.json"),
        ("../gone.py", r"app/linked\.py is a link to .*gone\.py, which is not there"),
        ("linked.py", r"app/linked\.py"),
    ],
)
def test_a_link_to_what_no_bundle_has_is_refused(tmp_path, target, fix):
    """The secrets of a laptop by another name, or nothing at all. (trials 2.7)"""
    (tmp_path / "app").mkdir()
    for file in (".env", "local.settings.json"):
        (tmp_path / file).write_text("secret")
    (tmp_path / "app" / "linked.py").symlink_to(target)
    with pytest.raises(ConfigError, match=fix):
        contents.own(tmp_path, ["app"], None)


def test_a_link_within_the_project_is_followed(tmp_path):
    """It is the project's own file."""
    (tmp_path / "app").mkdir()
    (tmp_path / "shared.py").write_text("shared")
    (tmp_path / "app" / "linked.py").symlink_to("../shared.py")
    assert contents.own(tmp_path, ["app"], None)["app/linked.py"].data == b"shared"


def test_two_files_in_one_place(tmp_path):
    """Refused with both owners, unless they are the same."""
    first, same, different = (Entry(part=part, data=data) for part, data in (("a", b"1"), ("b", b"1"), ("c", b"2")))
    assert contents.merged({"x": first}, {"x": same}) == {"x": first}
    with pytest.raises(ConfigError, match="x comes from a and from c; rename one"):
        contents.merged({"x": first}, {"x": different})


def installed(folder: Path, files: dict[str, bytes]) -> Path:
    """Write one distribution with these files, as an installer leaves it."""
    info = "Planted_It-2.0.dist-info"
    every = {**files, f"{info}/METADATA": b"Name: x", f"{info}/RECORD": b"", f"{info}/INSTALLER": b"uv"}
    every[f"{info}/entry_points.txt"] = every[f"{info}/licenses/LICENSE"] = b""
    every[f"{info}/RECORD"] = "".join(f'"{path}",,\n' for path in every).encode()
    for path, data in every.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


NEEDED = {
    "planted/__init__.py": b"",
    "planted/data.json": b"{}",
    "planted/x.so": b"",
    "single.py": b"",
    "planted/test.py": b"",
}
NOT_NEEDED = {
    "bin/planted": b"#!/laptop/python",
    "planted/tests/test_it.py": b"",
    "planted/deep/test/x.py": b"",
    "planted/__pycache__/x.cpython-311.pyc": b"",
    "planted-stubs/__init__.pyi": b"",
    ".lock": b"",
}


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        (b"import json", False),
        (b"from importlib.metadata import version", True),
        (b"from importlib import metadata", True),
        (b"from importlib import util, metadata", True),
        (b"import importlib_metadata", True),
        (b"import pkg_resources", True),
    ],
)
def test_third_party_packages(tmp_path, code, kept):
    """Files that are imported or read at run time are kept; metadata only where some code asks for it."""
    files = third_party.read(installed(tmp_path, {**NEEDED, **NOT_NEEDED, "planted/version.py": code}))
    metadata = {"Planted_It-2.0.dist-info/METADATA", "Planted_It-2.0.dist-info/entry_points.txt"}
    assert set(files) == {*NEEDED, "planted/version.py", *(metadata if kept else ())}
    assert {(entry.part, entry.version) for entry in files.values()} == {("Planted-It", "2.0")}


IMPORTING = {
    "planted/testing.py": b"import json\nfrom .tests import natype\nfrom planted.core.test.tools import (\n    a,\n    b,\n)\n",
    "planted/tests/__init__.py": b"",
    "planted/tests/natype.py": b"from . import more\nimport other.tests.base as base\n",
    "planted/tests/more.py": b"",
    "planted/tests/test_alone.py": b"from . import unused\n",
    "planted/tests/unused.py": b"",
    "planted/tests/data.bin": b"",
    "planted/core/test/__init__.py": b"",
    "planted/core/test/tools.py": b"",
    "other/tests/base.py": b"",
}


def test_modules_of_tests_that_are_imported_at_run_time(tmp_path):
    """numpy.testing imports numpy._core.tests: these modules stay, with what they import, and the rest goes."""
    kept = third_party.read(installed(tmp_path, IMPORTING))
    left_out = {"planted/tests/test_alone.py", "planted/tests/unused.py", "planted/tests/data.bin"}
    assert set(kept) == set(IMPORTING) - left_out


SERVICES = kit.entries(data__sqs__a=b"", data__s3__a=b"", data__index=b"", data2__s3__a=b"", other=b"")


def test_only_some_folders_of_a_folder():
    """The folder's own files stay, and so does what lies elsewhere."""
    assert set(third_party.only(SERVICES, {"data": ["sqs"]})) == {"data/sqs/a", "data/index", "data2/s3/a", "other"}
    assert set(third_party.only(SERVICES, {"data": [], "data2": ["s3"]})) == {"data/index", "data2/s3/a", "other"}
    assert third_party.only(SERVICES, {}) == SERVICES


@pytest.mark.parametrize(
    ("choice", "fix"),
    [
        ({"data": ["sqq"]}, "'data' has no 'sqq'; did you mean 'sqs'?"),
        ({"data": ["dynamodb"]}, "'data' has no 'dynamodb'$"),
        ({"dat": ["sqs"]}, "no package has folders in 'dat'"),
    ],
)
def test_only_what_is_there(choice, fix):
    """A word that was mistyped would leave out what it names."""
    with pytest.raises(ConfigError, match=fix):
        third_party.only(SERVICES, choice)


def test_the_zip_file_follows_from_the_contents():
    """Whatever the order; sorted, with fixed times, and modes that follow from the contents."""
    files = {"b.py": b"x", "a/x.so": kit.elf(), "c.sh": b"#!/bin/sh", "w.whl": b"PK"}
    first, second = (archive.zipped(kit.entries(**dict(order))) for order in (files.items(), reversed(files.items())))
    assert first == second
    with archive.zipfile.ZipFile(archive.io.BytesIO(first)) as opened:
        members = [(i.filename, oct(i.external_attr >> 16), i.date_time[0], i.create_system) for i in opened.infolist()]
        packed = {i.filename: i.compress_type for i in opened.infolist()}
    assert members == [
        ("a/x.so", "0o100755", 1980, 3),
        ("b.py", "0o100644", 1980, 3),
        ("c.sh", "0o100755", 1980, 3),
        ("w.whl", "0o100644", 1980, 3),
    ]
    assert packed["w.whl"] == archive.zipfile.ZIP_STORED != packed["b.py"]


def test_fingerprints_are_those_of_the_bundled_declarations(tmp_path):
    """Asked of the files themselves, so a changed number is another fingerprint."""
    asked = {}
    for timeout in (30, 31):
        folder = kit.project(tmp_path / str(timeout))
        (folder / "app" / "queues.py").write_text(kit.QUEUES.replace("timeout=30", f"timeout={timeout}"))
        every = contents.merged(contents.library(), contents.own(folder, ["app"], None))
        asked[timeout] = queues.fingerprints(every, ["app.queues"])
    assert asked[30]["receipts"] == asked[31]["receipts"]
    assert asked[30]["orders"] != asked[31]["orders"]
    assert list(asked[30]) == ["orders", "receipts"]


def test_fingerprints_are_those_of_the_bundled_library(tmp_path):
    """And not of the one that is installed here."""
    every = contents.merged(contents.library(), contents.own(kit.project(tmp_path / "p"), ["app"], None))
    queue = every["peeklock/queue.py"]
    every["peeklock/queue.py"] = Entry(
        part="peeklock", data=queue.data.replace(b".hexdigest()[:12]", b".hexdigest()[:7]")
    )
    assert [len(fingerprint) for fingerprint in queues.fingerprints(every, ["app.queues"]).values()] == [7, 7]


@pytest.mark.parametrize(
    ("module", "fix"),
    [
        ("app.queus", "No module named 'app.queus'; a module of declarations imports peeklock and the standard"),
        ("app", "no Queue is declared there"),
        ("app.broken", "SystemExit|ended without a message"),
    ],
)
def test_declarations_that_cannot_be_read(tmp_path, module, fix):
    """The text says why."""
    folder = kit.project(tmp_path / "p")
    (folder / "app" / "broken.py").write_text("import os; os._exit(3)\n")
    every = contents.merged(contents.library(), contents.own(folder, ["app"], None))
    with pytest.raises(ConfigError, match=fix):
        queues.fingerprints(every, [module])


@pytest.mark.parametrize(
    ("table", "fix"),
    [
        ("", "does not say what is in a bundle for aws; for instance:"),
        ('[tool.peeklock.bundle.aws]\nlock = "l"\n', "name the modules that declare queues"),
        ('[tool.peeklock.bundle]\nqueues = ["q"]\n[tool.peeklock.bundle.aws]\n', "lock = None is no path"),
        ('[tool.peeklock.bundle.aws]\nlok = "l"\n', "'lok' is unknown; did you mean 'lock'?"),
        (
            '[tool.peeklock.bundle.aws]\nlock = "l"\n[tool.peeklock.bundle.heroku]\n',
            "'heroku' is unknown; known: aws, azure",
        ),
        ('[tool.peeklock.bundle.aws]\nlock = "l"\nsources = "app"\n', "sources = 'app' is no list of names"),
        ('[tool.peeklock.bundle.aws]\nlock = "l"\nbudget = "5"\n', "budget = '5' is no number of megabytes over 0"),
        ('[tool.peeklock.bundle.aws]\nlock = "l"\nbudget = 0\n', "budget = 0 is no number"),
        ('[tool.peeklock.bundle.aws]\nlock = "l"\nonly = { "x" = "sqs" }\n', "only.'x' = 'sqs' is no list"),
        ("[tool", "pyproject.toml: "),
    ],
)
def test_tables_that_cannot_be(tmp_path, table, fix):
    """The text names the key, and what it may be."""
    (tmp_path / "pyproject.toml").write_text(table)
    with pytest.raises(ConfigError, match=re.escape(fix)):
        project.load(tmp_path, "aws")


def test_a_project_without_a_file_and_choices_of_wheels(tmp_path):
    """Both are said."""
    with pytest.raises(ConfigError, match="run it in the project's folder"):
        project.load(tmp_path, "aws")
    (tmp_path / "pyproject.toml").write_text('[tool.peeklock.bundle.gcp]\nlock = "l"\nonly = { x = ["y"] }\n')
    with pytest.raises(ConfigError, match="wheels are taken whole"):
        project.load(tmp_path, "gcp")


def test_targets():
    """arm64 is Lambda's by default; elsewhere there is one processor."""
    assert (target("aws", None).arch, target("aws", "x86_64").machine) == ("arm64", "x86_64")
    assert target("azure", "x86_64") is TARGETS["azure"]
    with pytest.raises(ConfigError, match="functions on gcp run on x86_64 only; leave --arch out"):
        target("gcp", "arm64")


@pytest.mark.parametrize(
    ("cloud", "deployed_to"),
    [
        ("aws", lambda module: (module.RUNTIME.removeprefix("python"), module.ARCHITECTURE)),
        ("azure", lambda module: (module.PYTHON, "x86_64")),
        ("gcp", lambda module: (f"3.{module.RUNTIME.removeprefix('python3')}", "x86_64")),
    ],
)
def test_what_is_deployed_to(cloud, deployed_to):
    """Named again by the cloud's component, since neither may import the other."""
    component = importlib.import_module(f"peeklock.infra.{cloud}.functions")
    assert deployed_to(component) == (TARGETS[cloud].python, TARGETS[cloud].arch)


LOCK = Path("lock.txt")


def test_command_lines():
    """Only binaries, only with hashes, for the target and not for this machine."""
    uv = packages.command("/bin/uv", LOCK, TARGETS["aws"], Path("to"))
    assert uv[:5] == ["/bin/uv", "pip", "install", "--target", "to"]
    assert uv[uv.index("--python-platform") + 1] == "aarch64-manylinux_2_28"
    pip = packages.command("pip", LOCK, TARGETS["azure"], Path("to"))
    assert pip[1:7] == ["-m", "pip", "install", "--no-compile", "--target", "to"]
    platforms = [pip[n + 1] for n, word in enumerate(pip) if word == "--platform"]
    assert platforms[0] == "manylinux_2_28_x86_64"
    assert {"manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} < set(platforms)
    assert not [name for name in platforms if "aarch64" in name or "musl" in name]
    downloaded = packages.command("uvx", LOCK, TARGETS["gcp"], Path("to"))
    assert downloaded[:7] == ["uv", "tool", "run", "pip", "download", "--dest", "to"]
    for words, python in ((uv, "3.13"), (pip, "3.12"), (downloaded, "3.13")):
        assert {"--require-hashes", "--no-deps"} < set(words)
        assert "--only-binary :all:" in " ".join(words).replace("=:all:", " :all:")
        assert words[words.index("--python-version") + 1] == python


@pytest.mark.parametrize(
    ("uv", "pip", "aws", "gcp"),
    [("/bin/uv", True, "/bin/uv", "pip"), ("/bin/uv", False, "/bin/uv", "uvx"), (None, True, "pip", "pip")],
)
def test_which_installer(uv, pip, aws, gcp):
    """uv where it can; wheels are downloaded by pip, however it is had."""
    assert packages.chosen(uv, TARGETS["aws"], pip=pip) == aws
    assert packages.chosen(uv, TARGETS["gcp"], pip=pip) == gcp


def test_no_installer():
    """Said, with where to have one."""
    with pytest.raises(ConfigError, match="neither uv nor pip is there"):
        packages.chosen(None, TARGETS["aws"], pip=False)
    assert packages.tool(TARGETS["gcp"]) in {"pip", "uvx"}


def test_locks_that_cannot_be(tmp_path):
    """None, and one with peeklock in it."""
    lock = tmp_path / "lock.txt"
    with pytest.raises(
        ConfigError,
        match=r"there is no lock .*\n\n  uv pip compile requirements.in --no-emit-package peeklock --only-b",
    ):
        packages.pinned(lock, TARGETS["aws"])
    lock.write_text("peeklock==1.0 \\\n    --hash=sha256:00\n")
    with pytest.raises(ConfigError, match="the bundle takes the one that runs this command"):
        packages.pinned(lock, TARGETS["aws"])
    lock.write_text("tomli==2 ; python_version < '3.13' \\\n    --hash=sha256:00\n")
    with pytest.raises(ConfigError, match=r"\"tomli==2 ; python_version < '3.13'\" depends on the machine"):
        packages.fetch("pip", lock, TARGETS["aws"], tmp_path, print)


EXTRAS = re.compile(r"peeklock\[(.*)\]")


@pytest.mark.parametrize("folder", ["aws_sqs", "azure_servicebus", "gcp_cloudtasks"])
def test_the_locks_of_the_examples(folder):
    """Each has what its extras ask for, with hashes, without markers and without a registry's address."""
    text = (ROOT / "handlers" / folder / "requirements-lock.txt").read_text()
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = EXTRAS.match((ROOT / "handlers" / folder / "requirements.txt").read_text())
    assert asked
    wanted = {re.split(r"[\[>=<]", requirement)[0] for extra in asked[1].split(",") for requirement in extras[extra]}
    assert wanted <= set(pins)
    assert all(line.startswith(("    --hash=sha256:", *pins)) for line in text.splitlines())
    assert not re.search(r"://|--index|;", text)
