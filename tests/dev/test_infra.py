"""`peeklock dev --infra`, as a user runs it: the program says what runs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cloudqueues.pulumi import command
from cloudqueues.pulumi.engine import Step
from peeklock.dev.deployed import clouds, report
from peeklock.dev.deployed.handlers import Imported, idle_queues, import_handlers
from peeklock.dev.deployed.local_context import Function, LocalContext
from peeklock.dev.deployed.run import _next_step
from peeklock.errors import ConfigError
from tests.dev import sample
from tests.support import ROOT

PROGRAM = """
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pulumi

from app.orders import ORDERS
from peeklock.infra.aws import App

app = App("shop", bundle="none.zip")
app.consumer(ORDERS, handler="app.aws.handler")
app.all()
pulumi.log.info("a note of the program")
"""

STACK = """
config:
  aws:region: eu-west-1
  shop:stage: {protect: false, log_days: 7}
  shop:capacity:
    orders: {batch: 10, parallel: 1, instances: 2}
"""

REACHING = """
import json
import os
import urllib.request

import boto3

from peeklock import Queue, consumer

ORDERS = Queue("orders", max_attempts=2, timeout=20, first_delay=1, max_delay=1)


def attempt(act):
    try:
        return f"REACHED {act()}"
    except Exception as exc:
        return type(exc).__name__


@consumer(ORDERS, key="id")
def handle(order: dict) -> None:
    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "example", "endpoint_url": "https://sts.amazonaws.com"}
    told = {
        "environment": dict(os.environ),
        "https": attempt(lambda: urllib.request.urlopen("https://sts.amazonaws.com/", timeout=5).status),
        "metadata": attempt(lambda: urllib.request.urlopen("http://169.254.169.254/latest/meta-data/", timeout=5).status),
        "sts": boto3.client("sts").get_caller_identity()["Account"],
        "own keys": attempt(lambda: boto3.client("sts", **keys).get_caller_identity()),
    }
    print("told", json.dumps(told))
"""

CANARIES = {
    "AWS_SECRET_ACCESS_KEY": "canary-1",
    "AWS_PROFILE": "canary-2",
    "AZURE_CLIENT_SECRET": "canary-3",
    "GOOGLE_APPLICATION_CREDENTIALS": "canary-4",
    "PULUMI_ACCESS_TOKEN": "canary-5",
    "MY_OWN_SECRET": "canary-6",
}


@pytest.fixture
def project(tmp_path):
    sample.write(tmp_path)
    folder = tmp_path / "infra/aws"
    folder.mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (folder / "Pulumi.dev.yaml").write_text(STACK)
    (folder / "__main__.py").write_text(PROGRAM)
    return tmp_path


def pulumi() -> dict[str, str]:
    """A PATH with the command on it."""
    return {"PATH": f"{command.find(root=ROOT).parent}{os.pathsep}{os.environ['PATH']}"}


def send(project, name: str) -> None:
    ran = sample.command(project, "send", "orders", "-", stdin=json.dumps({"id": name}).encode())
    assert ran.returncode == 0, ran.stderr


def check_first_output(project, said) -> None:
    """Check that the output has the program's notes and the address of its dead letters. (stranger 2, papercuts 1 and 10)"""
    assert any(entry.get("say") == "    a note of the program" for entry in said)
    (addresses,) = [entry["addresses"]["sqs"] for entry in said if "addresses" in entry]
    assert addresses["PEEKLOCK_ORDERS_DEAD_LETTER"].startswith("http://127.0.0.1:")
    assert "a note of the program" in (project / ".peeklock/pulumi.log").read_text()


@pytest.mark.servers
@pytest.mark.timeout(180)
def test_a_program_that_changes(project):
    """Functions have the numbers of the program. A changed program is applied anew; while that fails, the running
    functions go on. The files of the project stay as they are."""
    stack = project / "infra/aws/Pulumi.dev.yaml"
    files = {file: file.read_bytes() for file in (project / "infra").rglob("*") if file.is_file()}
    with sample.dev(project, "--infra", "infra/aws", **pulumi()) as running:
        said = "\n".join(str(entry.get("say")) for entry in running.said)
        assert "applied (made in an emulator)\n  aws:cloudwatch/dashboard:Dashboard" in said
        assert "timeout 55 s, batch 10, at once 2" in said
        assert "AWS_ENDPOINT_URL=http://127.0.0.1:" in said
        check_first_output(project, running.said)
        send(project, "a")
        running.until("settled", queue="orders", reason="done")
        stack.write_text(STACK.replace("batch: 10", "batch: 5"))
        running.until(
            "say", text="update shop-orders-mapping (aws:lambda/eventSourceMapping:EventSourceMapping): batchSize"
        )
        running.until("say", text="timeout 30 s, batch 5, at once 2")
        running.until("say", text="reloaded the program")
        send(project, "b")
        running.until("settled", queue="orders", reason="done")
        stack.write_text(STACK.replace("instances: 2", "instances: 1"))
        running.until("say", text="maximum concurrency is 2 to 1000; use instances=2")
        send(project, "c")
        running.until("line", text="handling c")
        assert running.end() == 0
    assert not sample.processes(project)
    stack.write_text(STACK)
    assert {file: file.read_bytes() for file in files} == files, "the command writes a salt into a stack's file"


@pytest.mark.servers
@pytest.mark.timeout(180)
def test_code_that_changes(project):
    """Where the program imports it, it is applied anew; else the functions start again, and nothing else."""
    code, entry = project / "app/orders.py", project / "app/aws.py"
    with sample.dev(project, "--infra", "infra/aws", **pulumi()) as running:
        text = code.read_text()
        code.write_text(text.replace("timeout=5", "timeout=6"))  # the program imports the declaration
        running.until("say", text="timeout 65 s, batch 10")
        running.until("say", text="reloaded the program")
        entry.write_text(f"{entry.read_text()}\nprint('started anew')\n")
        running.until("say", text="reloaded the functions")
        running.until("line", text="started anew")
        code.write_text(code.read_text() + "\nno python\n")
        running.until("say", text="not reloaded")
        send(project, "d")
        running.until("line", text="handling d")


@pytest.mark.servers
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("cloud", "stack"), [("aws", "dev"), ("azure", "dev"), ("gcp", "staging")])
def test_the_examples(tmp_path, cloud, stack):
    """The programs of this repository: an order is charged, and its receipt is written by the other function."""
    shutil.copytree(
        ROOT / "infra" / cloud, tmp_path / "infra" / cloud, ignore=shutil.ignore_patterns(".*", "__pycache__")
    )
    (tmp_path / "handlers").symlink_to(ROOT / "handlers")
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    if cloud == "aws":  # a program may be without stacks' files
        for file in (tmp_path / "infra/aws").glob("Pulumi.*.yaml"):
            file.unlink()
        with (tmp_path / "infra/aws/Pulumi.yaml").open("a") as project:
            project.write("config:\n  aws:region: eu-west-1\n")  # a region has to come from somewhere
    order = json.dumps({"order_id": "o-1", "customer": "c", "cents": 500, "card": "tok_visa"}).encode()
    words = ("--infra", f"infra/{cloud}", "--stack", stack, "--no-reload")
    with sample.dev(tmp_path, *words, **pulumi()) as running:
        ran = sample.command(tmp_path, "send", "orders", "-", stdin=order)
        assert ran.returncode == 0, ran.stderr
        running.until("settled", queue="receipts", message_id="receipt-o-1", reason="done")
        said = str(running.said[0].get("say"))
        assert said.startswith("no stack has a file in") == (cloud == "aws")
        assert running.end() == 0
    assert not sample.processes(tmp_path)


@pytest.mark.servers
@pytest.mark.timeout(120)
def test_nothing_reaches_a_cloud(project):
    """However hard a function tries: it has none of the user's variables, and what leaves this machine is refused."""
    (project / "app/orders.py").write_text(REACHING)
    with sample.dev(project, "--infra", "infra/aws", "--no-reload", **pulumi(), **CANARIES) as running:
        send(project, "a")
        line = running.until("line", text="told {")["text"]
        seen = json.loads(line.partition("told ")[2])
        refused = [entry["say"] for entry in running.said if entry.get("say", "").startswith("refused: ")]
        assert running.end() == 0
    assert refused[0] == "refused: something here asked for sts.amazonaws.com:443, which is not on this machine"
    environment = seen.pop("environment")
    assert not [name for name, value in environment.items() if "canary" in value]
    assert environment["PEEKLOCK_ORDERS_URL"].startswith("http://127.0.0.1:")
    assert environment["PEEKLOCK_STORE"].startswith("dynamodb://shop-store-")
    assert seen == {
        "https": "URLError",
        "metadata": "HTTPError",
        "sts": "123456789012",
        "own keys": "ProxyConnectionError",
    }


@pytest.mark.servers
@pytest.mark.timeout(120)
def test_a_type_that_is_refused(project):
    """It is said in the table, and nothing starts."""
    program = project / "infra/aws/__main__.py"
    program.write_text(
        f"{PROGRAM}\nimport pulumi_aws\npulumi_aws.ec2.Instance('web', ami='ami-1', instance_type='t4g.nano')\n"
    )
    ran = sample.command(project, "dev", "--infra", "infra/aws", **pulumi())
    assert ran.returncode == 2, ran.stdout
    assert b"\nrefused (unknown here: the program is not applied)\n  aws:ec2/instance:Instance" in ran.stdout
    assert b"aws:ec2/instance:Instance is neither applied nor recorded" in ran.stderr
    assert not sample.processes(project)


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (("--infra", "none"), "no folder with Pulumi.yaml and __main__.py"),
        (("--infra", "empty"), "it imports none of peeklock.infra.aws"),
        (("--infra", "broken"), "broken/__main__.py, line 1: SyntaxError: '(' was never closed\n"),
        (("--infra", "infra/aws", "sqs"), "--infra runs what the program makes: leave sqs out"),
        (("--stack", "dev"), "name its folder with --infra"),
        (("--infra", "infra/aws", "--stack", "dve"), "there is no Pulumi.dve.yaml in infra/aws; did you mean 'dev'?"),
    ],
)
def test_what_cannot_be_started(project, words, fix):
    """With the fix, before anything is started."""
    for name, text in (("empty", "import pulumi\n"), ("broken", "from peeklock import (\n")):
        (project / name).mkdir()
        (project / name / "Pulumi.yaml").write_text("name: x\nruntime: python\n")
        (project / name / "__main__.py").write_text(text)
    ran = sample.command(project, "dev", *words)
    assert ran.returncode == 2
    assert fix in ran.stderr.decode()


def test_without_the_command(project):
    """It says where to get it."""
    ran = sample.command(project, "dev", "--infra", "infra/aws", PATH="/nowhere")
    assert ran.returncode == 2
    assert b"there is no `pulumi`: install it" in ran.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from peeklock.infra.gcp import App", ["gcp"]),
        ("from peeklock.infra import azure", ["azure"]),
        ("import pulumi_aws as aws, pulumi_gcp.storage", ["aws", "gcp"]),
        ("def main():\n    from pulumi_azure_native import web", ["azure"]),
    ],
)
def test_the_clouds_of_a_program(tmp_path, text, expected):
    """The imports of all the program's files decide; files of its virtual environment do not count."""
    (tmp_path / "Pulumi.yaml").touch()
    (tmp_path / "__main__.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text(text)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/other.py").write_text("import pulumi_aws, pulumi_gcp, pulumi_azure_native")
    assert clouds.clouds_of(tmp_path) == expected


def test_a_cloud_whose_sdk_is_missing(monkeypatch, tmp_path):
    """It says what to install."""
    monkeypatch.setitem(clouds.RUNNERS, "aws", "peeklock_none.aws:Deployed")
    with pytest.raises(
        ConfigError, match=r"aws on this machine needs peeklock_none: pip install 'peeklock\[dev,infra-aws\]'"
    ):
        clouds.create_runner("aws", None, tmp_path)


def test_what_is_said_of_functions():
    """The program's variables are shown by name only; those that exist only here with their value."""
    function = Function(
        name="f",
        entry="m.f",
        environment={"A": "redis://me:secret@cloud/0", "B": "b", "HTTPS_PROXY": "http://proxy"},
        timeout=1.5,
        batch=10,
        concurrency=2,
        consuming=False,
        changed={"A": "local", "C": "c"},
    )
    assert list(report.function(function)) == [
        "\nfunction f: m.f (consuming off: it gets no messages)",
        "  timeout 1.5 s, batch 10, at once 2",
        "  as the program says: B",
        "  A=local  (here, instead of redis://***@cloud/0)",
        "  C=c  (only here)",
        "  HTTPS_PROXY: the program's is not taken here: it would lead away from this machine",
    ]


def test_the_environment_of_a_function(tmp_path):
    """The program's, but for what would lead away from this machine; imports are from the code first."""
    (tmp_path / "src").mkdir()
    context = LocalContext(code=tmp_path, state=tmp_path, on_line=lambda *_: None)
    base = {"PATH": "/bin", "PYTHONPATH": "/mine", "HTTPS_PROXY": "http://127.0.0.1:1", "HOME": "/nowhere"}
    program_variables = {"PYTHONPATH": "/its", "HTTPS_PROXY": "http://proxy", "A": "1", "B": "2"}
    function = Function(
        name="f", entry="m.f", environment=program_variables, timeout=1, batch=1, concurrency=1, changed={"B": "3"}
    )
    assert context.environment(base, function, tmp_path / "none") == {
        **base,
        "PYTHONPATH": f"{tmp_path}:{tmp_path}/src:/its",
        "A": "1",
        "B": "3",
    }


def test_what_is_said_of_steps():
    """New ones are counted, and the rest named."""
    step = Step(op="update", urn="urn:pulumi:dev::shop::aws:sqs/queue:Queue::q", changed=("delaySeconds",))
    assert list(report.steps([step, Step(op="create", urn="urn:pulumi:dev::shop::a:b/c:D::d", changed=())])) == [
        "\npulumi up: 1 create, 1 update",
        "  update q (aws:sqs/queue:Queue): delaySeconds",
    ]
    assert list(report.steps([])) == ["\npulumi up: nothing to change"]


def test_an_environment_that_a_program_does_not_export():
    """Is empty."""
    assert report.environment({}) == report.environment({"environment": "no"}) == {}


FAILED = """Updating (dev):
    pulumi:pulumi:Stack shop-dev running error: an unhandled error occurred: Traceback (most recent call last):
Diagnostics:
  peeklock:aws:Consumer (shop-orders):
    warning: queue 'orders': an outage of 10 min dead-letters most messages

  aws:sqs/queue:Queue (shop-mails):
    warning: beware
    error: creating SQS Queue: InvalidAttributeValue:
    of DelaySeconds

  pulumi:pulumi:Stack (shop-dev):
    error: an unhandled error occurred: Traceback (most recent call last):
      File "/site-packages/pulumi/runtime/stack.py", line 254, in run_in_stack
        await run_pulumi_func(run)
      File "/shop/infra/aws/__main__.py", line 10, in <module>
        queue = ORDERS.nope
                ^^^^^^^^^^^
      File "/site-packages/peeklock/queue.py", line 7, in <module>
    AttributeError: 'Queue' object has no attribute 'nope'

Outputs:
    error: not one
"""


def test_what_a_failed_up_comes_to():
    """Each error and where it is; nothing of the engine's own way there. All of it, where it names none. (trials 5.21)"""
    assert report.failure(FAILED, Path("/shop/infra/aws"), Path("/shop")).splitlines() == [
        "aws:sqs/queue:Queue (shop-mails): creating SQS Queue: InvalidAttributeValue:",
        "of DelaySeconds",
        "infra/aws/__main__.py, line 10: AttributeError: 'Queue' object has no attribute 'nope'",
    ]
    assert (
        report.failure("error: no stack named 'dev'\n", Path("/shop"), Path("/shop")) == "error: no stack named 'dev'\n"
    )


def test_what_a_program_said():
    """Warnings are shown, and notes, which have no word before them. (stranger 2, papercut 10)"""
    output = "Updating (dev):\nDiagnostics:\n  a:b (c):\n    warning: beware\n\n  d:e (f):\n    a note\n\nOutputs:\n    x: 1\n"
    assert list(report.messages(output)) == [
        "\nsaid by the program",
        "  a:b (c):",
        "    warning: beware",
        "",
        "  d:e (f):",
        "    a note",
    ]
    assert list(report.messages("Updating (dev):\nOutputs:\n")) == []


def test_a_printed_secret_is_not_the_error():
    """The exception is, though the program printed something below it."""
    text = FAILED.replace("no attribute 'nope'\n", "no attribute 'nope'\n\n    password=hunter2\n")
    message = report.failure(text, Path("/shop/infra/aws"), Path("/shop"))
    assert "AttributeError: 'Queue' object has no attribute 'nope'" in message
    assert "hunter2" not in message


def test_where_a_failed_up_is():
    """The last place in the project's own code, also outside of the program's folder."""
    text = FAILED.replace("/site-packages/peeklock/queue.py", "/shop/app/queues.py")
    assert "app/queues.py, line 7: AttributeError" in report.failure(text, Path("/shop/infra/aws"), Path("/shop"))
    text = FAILED.replace("/shop/infra/aws/", "/elsewhere/program/")
    assert "program/__main__.py, line 10: " in report.failure(text, Path("/elsewhere/program"), Path("/shop"))


def test_the_types_of_a_failed_up():
    """Nothing is said to be applied, since it may not have been reached."""
    types = {"a:b/c:D": "applied", "e:f/g:H": "refused"}
    assert list(report.types(types, failed=True)) == [
        "\nrefused (unknown here: the program is not applied)",
        "  e:f/g:H",
    ]
    assert "  a:b/c:D" in report.types(types, failed=False)


def deployed(**fields: Any) -> Function:
    return Function(
        **{"name": "f", "entry": "x", "environment": {}, "timeout": 1, "batch": 1, "concurrency": 1, **fields}
    )


OWN = {"PEEKLOCK_ORDERS_FINGERPRINT": "abc", "PEEKLOCK_ORDERS_URL": "u"}


@pytest.mark.parametrize(
    ("platform", "target", "environment", "fix"),
    [
        ("sqs", "app.aws:handler", OWN, None),
        ("sqs", "app.aws:handler", {}, None),
        ("servicebus", "app.orders:handle", OWN, None),
        ("sqs", "json:dumps", OWN, None),
        ("sqs", "app.aws:handlr", OWN, "function f: app.aws has no 'handlr'; did you mean 'handler'?"),
        ("sqs", "app.nowhere:handler", OWN, "function f: there is no module app.nowhere"),
        (
            "sqs",
            "app.orders:handle",
            OWN,
            "function f: app.orders:handle is not what sqs.bind(...) returned; correct handler=",
        ),
        ("cloudtasks", "app.aws:handler", OWN, "is not what cloudtasks.bind(...) returned"),
        ("servicebus", "app.aws:handler", OWN, "function f: app.aws:handler is not the consumer itself"),
        (
            "sqs",
            "app.aws:handler",
            {"PEEKLOCK_MAILS_FINGERPRINT": "abc"},
            "app.aws:handler consumes queue 'orders', and the program made the function for queue MAILS; correct handler=",
        ),
    ],
)
def test_handlers_are_compared_with_their_queues(tmp_path, platform, target, environment, fix):
    """Before anything starts; what peeklock does not know, such as a tracer's function, passes."""
    local = LocalContext(code=sample.write(tmp_path), state=tmp_path, on_line=lambda *_: None)
    function = deployed(target=target, environment=environment)
    if fix is None:
        imported = import_handlers(platform, [function], local, dict(os.environ))
        assert target.startswith("json") or imported.queues == {
            "PEEKLOCK_AUDIT_URL": "audit",
            "PEEKLOCK_ORDERS_URL": "orders",
        }
    else:
        with pytest.raises(ConfigError) as refused:
            import_handlers(platform, [function], local, dict(os.environ))
        assert fix in str(refused.value)


def test_handlers_that_are_not_imported(tmp_path):
    """Those that get no messages, or whose module is unknown."""
    local = LocalContext(code=tmp_path, state=tmp_path, on_line=lambda *_: None)
    functions = [deployed(target="no.where:x", consuming=False), deployed()]
    assert import_handlers("sqs", functions, local, {}) == Imported()


def test_queues_that_no_function_of_a_program_consumes():
    """Queues have their declared names where the code is known; a program that does not use peeklock.infra has none."""
    orders = deployed(environment={**OWN, "PEEKLOCK_AUDIT_URL": "v", "PAGE_URL": "x"})
    imported = Imported(queues={"PEEKLOCK_AUDIT_URL": "audit-log"})
    (line,) = idle_queues([orders], {"PEEKLOCK_MAILS_URL": "w"}, imported)
    assert line == "no function here consumes 'PEEKLOCK_MAILS_URL', 'audit-log': messages stay in the queue"
    assert list(idle_queues([deployed(environment=OWN)], {}, imported)) == []
    assert list(idle_queues([deployed(environment={"PEEKLOCK_X_URL": "x"})], {}, imported)) == []


def test_what_to_try():
    """Only what works: a queue whose address is known."""
    assert _next_step({"sqs": {"PEEKLOCK_MAIL_BOX_URL": "u", "A": "b"}}) == "Try: peeklock send mail-box FILE"
    assert _next_step({"sqs": {"AWS_ENDPOINT_URL": "u"}}).startswith("The program names no queue of peeklock's")


@pytest.mark.servers
@pytest.mark.timeout(180)
def test_a_failed_up_is_mended(project):
    """Correcting any of the program's files is enough, though the failed run loaded few of them; functions that ran go
    on."""
    code, entry = project / "app/orders.py", project / "app/aws.py"
    text, bound = code.read_text(), entry.read_text()
    with sample.dev(project, "--infra", "infra/aws", **pulumi()) as running:
        send(project, "0")
        running.until("settled", queue="orders", reason="done")  # its process has loaded the code
        code.write_text(text.replace('Queue("orders"', 'Queue("no queue!"'))
        assert running.until("say", text="not reloaded").startswith("not reloaded: app/orders.py, line 4: ")
        send(project, "a")
        running.until("settled", queue="orders", reason="done")
        code.write_text(text.replace("timeout=5", "timeout=6"))
        running.until("say", text="timeout 65 s, batch 10")
        running.until("say", text="reloaded the program")
        entry.write_text(f"{bound}\nhandler = handle\n")
        running.until("say", text="app.aws:handler is not what sqs.bind(...) returned")
        assert running.end() == 0
