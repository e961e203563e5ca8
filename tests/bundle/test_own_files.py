"""Which of a project's files are in its bundle: none that git ignores, none that looks like a secret."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from contextlib import chdir, closing
from pathlib import Path

import pytest

from peeklock.bundle import contents
from peeklock.bundle.secrets import reason_to_refuse
from peeklock.cli import main
from peeklock.errors import ConfigError
from tests.bundle import kit
from tests.support import ROOT, environment

PEM = "-----BEGIN {}PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" + "\n-----END PRIVATE KEY-----\n"


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="latin-1")
    return folder


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def taken(folder: Path, **choices: list[str]) -> set[str]:
    return set(contents.own(folder, ["app"], None, **choices))


IGNORED = {
    ".gitignore": "*.local.json\n/app/generated/\nforced.txt\n",
    "app/main.py": "",
    "app/new.py": "",
    "app/forced.txt": "",
    "app/passwords.local.json": "{}",
    "app/deep/.gitignore": "data.csv\n",
    "app/deep/data.csv": "",
    "app/deep/rates.csv": "",
    "app/generated/schema_pb2.py": "",
    "app/generated/more/names_pb2.py": "",
}
TAKEN = {"app/main.py", "app/new.py", "app/deep/rates.csv"}


@pytest.mark.parametrize("repository", [True, False])
def test_what_git_ignores_stays_out(tmp_path, repository):
    """The rules of each folder apply, also in a copy without its repository; a file that was added all the same is in.
    (trials 5.17)"""
    folder = written(tmp_path, IGNORED)
    if repository:
        git(folder, "init")
        git(folder, "add", "--force", "app/forced.txt", "app/main.py")
    assert taken(folder) == TAKEN | ({"app/forced.txt"} if repository else set())
    with environment(GIT_INDEX_FILE=str(tmp_path / "index-of-a-hook")):
        assert taken(folder) == TAKEN | ({"app/forced.txt"} if repository else set())


def test_rules_around_the_project(tmp_path):
    """The rules of a repository around the project apply, and those of this machine alone."""
    git(tmp_path, "init")
    written(tmp_path, {".gitignore": "*.secret\n", ".git/info/exclude": "mine.txt\n"})
    folder = written(tmp_path / "service", {"app/a.secret": "", "app/mine.txt": "", "app/b.py": ""})
    assert taken(folder) == {"app/b.py"}
    with environment(GIT_DIR=".git", GIT_INDEX_FILE="index"):
        assert taken(folder) == {"app/b.py"}, "a hook's variables are of its own folder"


def test_rules_of_a_submodule(tmp_path):
    """Are its own: git does not tell them to the repository around it. (trials 5.17)"""
    library = written(tmp_path / "library", {".gitignore": "*.secret\n", "code.py": ""})
    git(library, "init")
    git(library, "add", ".")
    git(library, "commit", "-m", "one")
    folder = written(tmp_path / "project", {"app/main.py": ""})
    git(folder, "init")
    git(folder, "submodule", "add", str(library), "app/library")
    written(folder, {"app/library/a.secret": ""})
    assert taken(folder) == {"app/main.py", "app/library/code.py"}


def test_a_folder_that_is_ignored_can_be_included(tmp_path):
    """Or one file of it; what is excluded stays out."""
    folder = written(tmp_path, IGNORED)
    more = {"app/generated/schema_pb2.py", "app/generated/more/names_pb2.py"}
    assert taken(folder, include=["app/generated"]) == TAKEN | more
    assert taken(folder, include=["app/generated"], exclude=["app/generated/more"]) == TAKEN | {min(more, key=len)}
    assert taken(folder, include=["app/deep/data.csv"]) == TAKEN | {"app/deep/data.csv"}
    assert taken(folder, exclude=["app/deep"]) == {"app/main.py", "app/new.py"}
    assert taken(folder, exclude=["*.csv"]) == {"app/main.py", "app/new.py"}


def test_an_include_that_names_nothing(tmp_path):
    """Would be missed in the cloud only."""
    folder = written(tmp_path, {"app/main.py": "", "other/x.py": ""})
    for pattern in ("app/mian.py", "other/x.py"):
        with pytest.raises(ConfigError, match=f"include: no file below sources and root is '{pattern}'"):
            taken(folder, include=[pattern])


def test_a_project_that_is_ignored_as_a_whole(tmp_path):
    """Says so, rather than that its modules are not there."""
    git(tmp_path, "init")
    folder = written(tmp_path, {".gitignore": "app\n", "app/main.py": ""})
    with pytest.raises(ConfigError, match=r"no file of 'app' is taken: .*git ignores it; then name it in include"):
        taken(folder)
    assert taken(folder, include=["app"]) == {"app/main.py"}


def test_without_git(tmp_path):
    """Rules that nobody can read are not passed over; where there are none, none are needed."""
    folder = written(tmp_path / "p", {"app/main.py": ""})
    with environment(PATH=str(tmp_path)):
        assert taken(folder) == {"app/main.py"}
        written(tmp_path, {".gitignore": ""})
        with pytest.raises(ConfigError, match=r"git is not installed, and .*\.gitignore says what stays out"):
            taken(folder)


def test_git_that_fails(tmp_path):
    """With its own words, such as those about another owner's repository."""
    written(tmp_path, {"app/main.py": "", ".git/HEAD": "nothing"})
    with pytest.raises(ConfigError, match=r"(?s)git does not say what it ignores in .*\n\nfatal: "):
        taken(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("prod.env", ""),
        ("env", ""),
        ("id_rsa", ""),
        ("id_ed25519", ""),
        ("tls.pem", ""),
        ("TLS.PEM", ""),
        ("server.key", ""),
        ("sign.p12", ""),
        ("service-account.json", "{}"),
        ("service_account-prod.json", "{}"),
        ("credentials.json", "{}"),
        ("client_secret_1.json", "{}"),
        ("prod.tfvars", ""),
        ("notes.txt", PEM.format("")),
        ("notes", "first\n" + PEM.format("RSA ")),
        ("settings.py", f"KEY = {PEM.format('OPENSSH ')!r}"),
        ("config.json", json.dumps({"k": PEM.format("EC ")})),
        ("google.json", '{"type": "service_account", "private_key_id": "abc"}'),
        ("sa.txt", '{"private_key": "x", "type": "service_account"}'),
        ("terraform.tfstate.backup", ""),
        ("prod.tfvars.json", "{}"),
        ("local.settings.prod.json", "{}"),
        ("credentials", ""),
        ("credentials.ini", ""),
        ("aws_credentials.csv", ""),
        ("shop.publishsettings", ""),
        ("env.production", ""),
        ("prod.env.bak", ""),
        ("kubeconfig", ""),
        ("client.kubeconfig", ""),
        ("htpasswd", ""),
        ("apns.p8", ""),
        ("id_rsa.bak", ""),
        ("secrets.yaml", ""),
        ("secret.toml", ""),
        ("npmrc", ""),
        ("npm.conf", "//registry.example.com/:_authToken=" + "a1b2" * 5),
        ("keys.py", f'AWS_SECRET_ACCESS_KEY = "{"a1B/" * 10}"'),
        ("keys.json", json.dumps({"aws_secret_access_key": "a1B/" * 10})),
        ("ids.txt", "the id is AKIA" + "Q2" * 8),
        ("session.txt", "ASIA" + "Q2" * 8),
        ("storage.txt", "AccountName=a;AccountKey=" + "ab" * 43 + "=="),
        ("bus.txt", "Endpoint=sb://a/;SharedAccessKey=" + "a" * 43 + "="),
        ("utf16.txt", PEM.format("").encode("utf-16").decode("latin-1")),
        ("pgp.txt", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQVYBGX0aaaaaaaa\n"),
    ],
)
def test_what_looks_like_a_secret_is_refused(tmp_path, name, text):
    """With its name and what to do; included by its name it is taken, by its folder not. (trials 5.17)"""
    folder = written(tmp_path, {"app/main.py": "", f"app/{name}": text})
    fix = rf"app/{name} looks like a secret, .* include = \[\"app/{name}\"\]"
    for include in ([], ["app"], ["app/*"]):
        with pytest.raises(ConfigError, match=fix):
            taken(folder, include=include)
    assert taken(folder, include=[f"app/{name}"]) == {"app/main.py", f"app/{name}"}
    assert taken(folder, exclude=[f"app/{name}"]) == {"app/main.py"}
    assert f"app/{name}" in contents.own(folder, ["app", f"app/{name}"], None), "a source that is a file is named, too"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("environment.py", ""),
        ("keys.py", "if text.startswith('-----BEGIN PRIVATE KEY-----'):\n    load(text)\n"),
        ("schema.json", '{"properties": {"private_key": {"type": "string"}}}'),
        ("public.txt", "-----BEGIN PUBLIC KEY-----\nMIIEvQIBADANBgkq\n"),
        ("keyboard.json", "{}"),
        ("env.py", "import os"),
        ("credentials.py", "class Credentials: ..."),
        ("secrets.py", "import secrets"),
        ("environment.yaml", ""),
        ("tokens.py", "KEY = os.environ['AWS_SECRET_ACCESS_KEY']"),
        ("sample.md", "AKIAIOSFODNN7EXAMPLE and aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        (
            "dev.txt",
            "Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true",
        ),
        (
            "azurite.txt",
            "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        ),
        ("npm.conf", "//registry.example.com/:_authToken=${NPM_TOKEN}"),
    ],
)
def test_what_only_speaks_of_keys_is_none(name, text):
    """Code and schemas."""
    assert reason_to_refuse(name, text.encode()) is None


def test_a_link_to_a_secret(tmp_path):
    """A link within the project gives the secret another name. (trials 5.17)"""
    folder = written(tmp_path, {"app/main.py": "", "prod.env": "A=b", ".gitignore": "mine.txt\n", "mine.txt": ""})
    (folder / "app" / "settings.txt").symlink_to("../prod.env")
    with pytest.raises(ConfigError, match=r"app/settings\.txt looks like a secret, by its name"):
        taken(folder)
    (folder / "app" / "settings.txt").unlink()
    (folder / "app" / "data.txt").symlink_to("../mine.txt")
    with pytest.raises(ConfigError, match=r"data\.txt is a link to mine\.txt, which git ignores"):
        taken(folder)


def test_what_no_function_needs(tmp_path):
    """Packages of other languages, environments, databases by name and by contents; a file that is named is taken. (trials 5.17)"""
    junk = ["node_modules/a/index.js", "venv/bin/x.py", "app.egg-info/PKG-INFO", "orders.db", "o.sqlite3", "o.db-wal"]
    folder = written(tmp_path, {"app/main.py": "", **{f"app/{name}": "" for name in junk}})
    (folder / "app" / "data").write_bytes(b"SQLite format 3\0\x10\x00")
    assert taken(folder) == {"app/main.py"}
    named = ["app/orders.db", "app/data"]
    assert taken(folder, include=named) == {"app/main.py", *named}


def test_the_command_lists_them(tmp_path, capsys):
    """Files are listed by their paths in the bundle, with nothing built or fetched: the lock names a package that does
    not exist. (trials 5.17)"""
    folder = kit.project(tmp_path / "p", lock="nowhere==1.0 \\\n    --hash=sha256:00\n", more='exclude = ["*.txt"]\n')
    written(folder, {"app/notes.txt": ""})
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["bundle", "aws", "--list"]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "app/__init__.py",
            "app/queues.py",
            "app/work.py",
            "main.py  from entry/main.py",
        ]
        assert main(["bundle", "aws", "--list", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["files"]["main.py"] == "entry/main.py"
    finally:
        os.chdir(before)
    assert not (folder / "build").exists()


def test_the_samples_of_this_repository_are_no_secrets():
    """The examples, and the code of the library, raise no alarm."""
    files = [
        path
        for folder in ("handlers", "events", "src", "infra")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    ]
    refused = {
        path.name: reason_to_refuse(path.name, path.read_bytes()) for path in files if "__pycache__" not in path.parts
    }
    assert {name: reason for name, reason in refused.items() if reason} == {}


def test_a_link_to_what_is_no_file(tmp_path):
    """It is refused, rather than read: a pipe would be read for ever."""
    folder = written(tmp_path, {"app/main.py": ""})
    with closing(socket.socket(socket.AF_UNIX)) as listener, chdir(tmp_path):
        listener.bind("pipe")
    (folder / "app" / "data.txt").symlink_to("../pipe")
    with pytest.raises(ConfigError, match=r"data\.txt is a link to .*pipe, which is no regular file; remove the link"):
        taken(folder)


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    """It may be gone when it is read."""
    folder = written(tmp_path, {"app/main.py": ""})

    def gone(_: Path) -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "read_bytes", gone)
    with pytest.raises(ConfigError, match=r"app/main\.py: No such file or directory$"):
        taken(folder)


def test_a_name_that_is_not_utf_8(tmp_path):
    """A zip file cannot have it."""
    folder = written(tmp_path, {"app/main.py": ""})
    Path(os.fsdecode(os.fsencode(folder / "app") + b"/caf\xe9.txt")).touch()
    with pytest.raises(
        ConfigError, match=r"caf.*\.txt.*its name is not UTF-8, as a bundle needs it; rename or exclude"
    ):
        taken(folder)


@pytest.mark.parametrize("name", ["a.db", "a.db-wal", "a.sqlite3-shm", "a.sqlite-journal"])
def test_a_database_and_its_journals_stay_out(tmp_path, name):
    assert taken(written(tmp_path, {"app/main.py": "", f"app/{name}": ""})) == {"app/main.py"}
