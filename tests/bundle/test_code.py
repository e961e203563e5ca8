"""Code that could not start where the bundle runs: its syntax and its imports."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace

import pytest

from peeklock.bundle import code, contents, imports, queues
from peeklock.bundle.contents import Entry
from peeklock.bundle.targets import TARGETS
from peeklock.errors import ConfigError
from tests.bundle import kit


def own(files: Mapping[str, str]) -> dict[str, Entry]:
    """Return entries of the project, with each source below `src/`."""
    return {path: Entry(part="app", data=text.encode(), source=f"src/{path}") for path, text in files.items()}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def f(:\n", 1),
        ("x = 1\n\nreturn x\n", 3),
        ("def f(a, a): ...\n", 1),
        ("await x\n", 1),
        ("x = '\0'\n", 1),
    ],
)
def test_what_is_no_python(text, line):
    """Said with file and line, also what a parser takes and a compiler does not. (trials 5.18)"""
    data = text if isinstance(text, bytes) else text.encode()
    entries = {"app/work.py": Entry(part="app", data=data, source="src/app/work.py")}
    with pytest.raises(ConfigError, match=rf"src/app/work\.py:{line}: "):
        code.modules(entries, TARGETS["aws"])


def test_all_of_them_at_once():
    """One run of the command names every file."""
    with pytest.raises(ConfigError, match=r"(?s)src/a\.py:1: .*\n  src/b\.py:2: "):
        code.modules(own({"a.py": "(", "b.py": "\n)", "c.py": ""}), TARGETS["aws"])


@pytest.mark.parametrize(
    ("python", "text", "fix"),
    [
        ("3.9", "match 1:\n    case 1: ...\n", "the code is no Python 3.9, for which the bundle is; correct it"),
        ("3.10", "try: ...\nexcept* ValueError: ...\n", "the code is no Python 3.10, for which the bundle is"),
        (
            "3.99",
            "type X = = int\n",
            "where its syntax is newer, run peeklock with Python 3.99, for which the bundle is",
        ),
    ],
)
def test_syntax_of_another_python(python, text, fix):
    """Newer than the target's, though this one takes it; and newer than this one's. (trials 5.18)"""
    with pytest.raises(ConfigError, match=fix):
        code.modules(own({"a.py": text}), replace(TARGETS["aws"], python=python))


def test_what_is_compiled_is_code_of_the_project():
    """With its package, which relative imports begin at; nothing of other people."""
    files = own({"app/__init__.py": "", "app/deep/x.py": "", "main.py": "", "data.txt": "("})
    files["other.py"] = Entry(part="other", data=b"(")
    modules = code.modules(files, TARGETS["aws"])
    assert {name: module.package for name, module in modules.items()} == {
        "app": "app",
        "app.deep.x": "app.deep",
        "main": "",
    }


BUNDLED = {
    "peeklock/__init__.py": Entry(part="peeklock", data=b"def __getattr__(name): ...\n"),
    "peeklock/queue.py": Entry(part="peeklock", data=b"class Queue: ...\n"),
    "planted/__init__.py": Entry(part="planted", data=b""),
    "google/cloud/tasks_v2/__init__.py": Entry(part="google-cloud-tasks", data=b""),
    "single.py": Entry(part="single", data=b""),
    "fast.cpython-313-x86_64-linux-gnu.so": Entry(part="fast", data=b""),
    **own(
        {
            "app/__init__.py": "",
            "app/config.py": "SIZE = 1\n",
            "app/names.py": "from app.config import *\n",
            "app/bare/inner.py": "",
            "main.py": "",
        }
    ),
}


def problems(
    text: str, path: str = "app/work.py", cloud: str = "azure", more: Mapping[str, Entry] | None = None
) -> list[str]:
    """Return the problems that one more module of the project causes."""
    packages = TARGETS[cloud].packages
    laid = {
        where if entry.source or entry.part == "peeklock" else f"{packages}/{where}".lstrip("/"): entry
        for where, entry in BUNDLED.items()
    }
    entries = {**laid, **(more or {}), **own({path: text})}
    modules = code.modules(entries, TARGETS[cloud])
    return imports.problems(modules, entries, TARGETS[cloud], "lock.txt")


@pytest.mark.parametrize("cloud", ["aws", "azure"])
@pytest.mark.parametrize(
    "text",
    [
        "import os.path, json, asyncio.events",
        "import planted, single, fast",
        "import planted.made_at_run_time",
        "from planted import anything",
        "import google.cloud.tasks_v2",
        "from google.cloud import tasks_v2",
        "from peeklock import sqs, Queue",
        "from peeklock.queue import Queue",
        "import app.config",
        "from app.config import SIZE",
        "from app import config",
        "from app.names import ANYTHING",
        "from app.names import *",
        "from app.bare import inner",
        "from . import config",
        "from .config import SIZE",
        "from .bare.inner import *",
        "from __future__ import annotations",
        "try:\n    import orjson\nexcept ImportError:\n    import json",
        "try:\n    import orjson as json\nexcept (ValueError, ModuleNotFoundError):\n    json = None",
        "try:\n    import json\nexcept ImportError:\n    import simplejson",
        "try:\n    import ujson\nexcept ImportError:\n    try:\n        import orjson\n    except ImportError:\n        pass",
        "from contextlib import suppress\nwith suppress(ImportError):\n    import orjson",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mypy_boto3_sqs import SQSClient",
        "import sys\nif sys.platform == 'win32':\n    import winreg",
        "import sys\nif sys.version_info < (3, 11):\n    import tomli\nelse:\n    import tomllib",
        "if __name__ == '__main__':\n    import typer",
    ],
)
def test_imports_that_succeed(text, cloud):
    """Or that may fail."""
    assert problems(text, cloud=cloud) == []


@pytest.mark.parametrize(
    ("text", "line", "missing"),
    [
        (
            "import pydantic",
            1,
            "imports pydantic, which is in no package of lock.txt, not in sources, and not in Python",
        ),
        ("\ndef f():\n    from pydantic import BaseModel", 3, "imports pydantic, which is in no package of lock.txt"),
        ("if SETTING:\n    import pydantic", 2, "imports pydantic"),
        ("import google.cloud.storage", 1, "imports google.cloud.storage, which is in no package"),
        ("from google.cloud import storage", 1, "imports google.cloud.storage, which is in no package"),
        ("from peeklock.testing import deliver", 1, "imports peeklock.testing, which is not in the bundle"),
        (
            "import app.cofnig",
            1,
            "imports app.cofnig, which is not in the bundle: add it to sources, or to include where git",
        ),
        ("from app import cofnig", 1, "imports app.cofnig, which is not in the bundle"),
        ("from app.config import WIDTH", 1, "imports app.config.WIDTH, which is not in the bundle"),
        ("from . import cofnig", 1, "imports app.cofnig, which is not in the bundle"),
        ("from .cofnig import x", 1, "imports app.cofnig, which is not in the bundle"),
        ("from .bare import outer", 1, "imports app.bare.outer, which is not in the bundle"),
        ("from .. import config", 1, "a relative import that leads out of its package; import by the whole name"),
        ("import imp", 1, "has no module imp; do without it"),
        ("import winreg", 1, "has no module winreg"),
        ("import annotationlib", 1, "imports annotationlib|has no module annotationlib"),
        ("try:\n    import pydantic\nexcept ValueError:\n    pass", 2, "imports pydantic"),
        ("try:\n    import ujson\nexcept ImportError:\n    import orjson", 4, "imports orjson"),
        ("try:\n    pass\nexcept ImportError:\n    pass\nelse:\n    import orjson", 6, "imports orjson"),
        ("try:\n    pass\nexcept ImportError:\n    pass\nfinally:\n    import orjson", 6, "imports orjson"),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import orjson",
            5,
            "imports orjson",
        ),
        ("from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import orjson", 3, "imports orjson"),
        ("with open('x'):\n    import orjson", 2, "imports orjson"),
    ],
)
def test_imports_that_fail(text, line, missing):
    """With file, line and module, and where it would have to be. (trials 3.7, 5.18)"""
    (problem,) = problems(text)
    head, message = f"src/app/work.py:{line}: ", problem
    assert message.startswith(head)
    assert any(part in message for part in missing.split("|"))


def test_at_the_root_nothing_is_relative():
    """A function app's own files are in no package, though they lie in a folder of the project."""
    (problem,) = problems("from . import config", path="function_app.py")
    assert problem.startswith("src/function_app.py:1: a relative import that leads out of its package")


def test_what_the_platform_has():
    """Lambda has an SDK; the others have none."""
    assert problems("import boto3, botocore.config", cloud="aws") == []
    (first, second) = problems("import boto3, botocore.config", cloud="azure")
    assert "imports boto3" in first
    assert "imports botocore" in second


def test_what_a_python_has_no_more(monkeypatch):
    """The target's own version decides, whatever this Python has."""
    monkeypatch.setattr(sys, "stdlib_module_names", frozenset({"cgi", "imp", "json", "annotationlib"}))
    assert problems("import cgi", cloud="azure") == []
    assert "Python 3.13 on aws has no module cgi" in problems("import cgi", cloud="aws")[0]
    assert "Python 3.12 on azure has no module imp" in problems("import imp", cloud="azure")[0]
    assert "Python 3.13 on aws has no module annotationlib" in problems("import annotationlib", cloud="aws")[0]


def test_what_wheels_bring():
    """Google's packages are installed from wheels: their modules count, also those below a folder of data."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as wheel:
        wheel.writestr("flat/__init__.py", "")
        wheel.writestr("x-1.0.data/platlib/deep/__init__.py", "")
    more = {"vendor/x-1.0-py3-none-any.whl": Entry(part="x", data=out.getvalue())}
    assert problems("import flat, deep", cloud="gcp", more=more) == []
    assert len(problems("import flat, deep", cloud="gcp")) == 2


def test_a_module_of_declarations_is_asked_alone(tmp_path):
    """Without the packages that happen to be installed here; the error has its line. (trials 5.18)"""
    folder = kit.project(tmp_path / "p")
    (folder / "app" / "queues.py").write_text("import json\nimport pydantic\n" + kit.QUEUES)
    every = contents.merged(contents.library(), contents.own(folder, ["app"], None))
    with pytest.raises(
        ConfigError, match=r"bundle: app/queues\.py:2: ModuleNotFoundError: No module named 'pydantic'; a"
    ):
        queues.fingerprints(every, ["app.queues"])
