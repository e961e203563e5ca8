"""Functions of Google Cloud read from the engine's state, and their processes, without the engine."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from cloudqueues.pulumi.environment import for_functions
from peeklock.dev.deployed import gcp_state, report
from peeklock.dev.deployed.clouds import create_runner
from peeklock.dev.deployed.gcp import MOST, GcpRunner
from peeklock.dev.deployed.local_context import LocalContext
from peeklock.errors import ConfigError, PeeklockError
from tests.support import environment

STATE = Path(__file__).parent / "gcp_state.json"
"""Functions and queues of infra/gcp, stack dev: of `pulumi stack export`, by the real engine."""

ORDERS_QUEUE = "projects/contoso-dev/locations/europe-west1/queues/shop-orders-dev"

ADDED = {"LC_CTYPE", "SERVER_SOFTWARE", "FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE"}
"""Variables that Python, gunicorn and the framework add in the process itself."""

TELLING = """
import json, os
{first}

def charge_http(request):
    return json.dumps({{"environment": dict(os.environ), "cwd": os.getcwd()}})

receipts_http = charge_http
"""


@pytest.fixture
def state() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(STATE.read_text())
    return loaded


def resource(state: list[dict[str, Any]], type_: str, name: str = "shop-orders") -> dict[str, Any]:
    (resource,) = [
        resource for resource in state if resource["type"] == type_ and resource["urn"].endswith(f"::{name}")
    ]
    return resource


def put(resource: dict[str, Any], *path: str, value: Any) -> None:
    """Set a value as the program says it, and so as the provider returns it."""
    for part in ("inputs", "outputs"):
        inner = resource[part]
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = value


@pytest.fixture
def context(tmp_path: Path) -> LocalContext:
    """A bundle whose functions tell where they are. Lines are kept on the folder's `lines`."""
    (tmp_path / "code").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "code" / "main.py").write_text(TELLING.format(first=""))
    lines = tmp_path / "lines"
    lines.touch()

    def on_line(platform: str, line: str) -> None:
        with lines.open("a") as file:
            file.write(f"{platform} {line}\n")

    return LocalContext(code=tmp_path / "code", state=tmp_path / "state", on_line=on_line)


@pytest.fixture
def deployed(context: LocalContext) -> Iterator[GcpRunner]:
    runner = create_runner("gcp", context, context.code)
    assert isinstance(runner, GcpRunner)
    runner.open()
    yield runner
    runner.close()
    runner.close()


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    return for_functions({}, home=tmp_path, proxy_port=1)


def test_numbers_and_environment_are_the_programs(deployed, state):
    """Numbers and variables are the program's; only variables that lead elsewhere differ."""
    orders, receipts = deployed.functions(state)
    assert (orders.name, receipts.name) == ("shop-orders-dev", "shop-receipts-dev")
    config = resource(state, gcp_state.FUNCTION)["inputs"]["serviceConfig"]
    assert (orders.entry, orders.timeout, orders.batch, orders.concurrency) == ("main.charge_http", 35, 1, 2)
    assert orders.environment == config["environmentVariables"]
    assert orders.consuming
    assert receipts.timeout == 15
    assert orders.reached.keys() == {
        "https://europe-west1-contoso-dev.cloudfunctions.net/shop-orders-dev",
        "https://shop-orders-dev-example-project.a.run.app",
    }
    assert len({url for function in (orders, receipts) for url in function.reached.values()}) == 2


def test_what_is_changed(deployed, context, state):
    """Store and dead letters are files; queues of the stack are where they were; each function has its own workers."""
    orders, receipts = deployed.functions(state)
    assert orders.changed == {
        "PEEKLOCK_STORE": f"sqlite://{context.state}/contoso-dev-shop-dev-leases.db",
        "PEEKLOCK_ORDERS_DEAD_LETTER": f"file://{context.state}/projects-contoso-dev-topics-shop-orders-dead-letters-dev.jsonl",
        "CLOUD_TASKS_EMULATOR_HOST": deployed.variables()["CLOUD_TASKS_EMULATOR_HOST"],
        "CLOUD_RUN_TIMEOUT_SECONDS": "35",
        "WORKERS": "2",
        "PEEKLOCK_CERTS_URL": deployed._tasks.certs_url,
    }
    assert orders.changed["PEEKLOCK_STORE"] == receipts.changed["PEEKLOCK_STORE"]
    said = "\n".join(report.function(orders))
    assert f"cloudfunctions.net/shop-orders-dev is {next(iter(orders.reached.values()))} here" in said
    assert "(here, instead of firestore://contoso-dev/shop-dev/leases)" in said


@pytest.mark.parametrize(
    ("name", "value", "local_value"),
    [
        ("PEEKLOCK_STORE", "redis://10.0.0.3:6379/0", "sqlite:///s/10-0-0-3-6379-0.db"),
        ("PEEKLOCK_STORE", "rediss://user:secret@h/0", "sqlite:///s/h-0.db"),
        ("PEEKLOCK_STORE", "sqlite:///tmp/keys.db", None),
        ("PEEKLOCK_STORE", "memory://", None),
        ("PEEKLOCK_A_B_URL", "pubsub://projects/p/topics/t", "file:///s/projects-p-topics-t.jsonl"),
        ("PEEKLOCK_A_URL", "cloudtasks://projects/p/locations/l/queues/q?target=https://h/", None),
        ("PEEKLOCK_A_URL", "cloudtasks://projects/p/locations/l/queues/r", "file:///s/projects-p-locations-l-queues-r.jsonl"),
        ("PEEKLOCK_A_DEAD_LETTER", "sqs://https://sqs.eu-west-1.amazonaws.com/1/dead", "file:///s/https-sqs-eu-west-1-amazonaws-com-1-dead.jsonl"),
        ("PEEKLOCK_A_DEAD_LETTER", "file:///tmp/dead-letters", None),
        ("PEEKLOCK_A_AUDIENCE", "https://h/", None),
        ("PAGE_URL", "https://example.com", None),
    ],
)  # fmt: skip
def test_what_leads_out_is_a_file(name, value, local_value):
    changed = gcp_state.replaced({name: value}, Path("/s"), {"projects/p/locations/l/queues/q"})
    assert changed == ({} if local_value is None else {name: local_value})


def test_a_folder_with_a_strange_name():
    """Is found again by who reads the address."""
    changed = gcp_state.replaced({"PEEKLOCK_STORE": "firestore://p/d/c"}, Path("/a %b"), ())
    assert changed == {"PEEKLOCK_STORE": "sqlite:///a%20%25b/p-d-c.db"}


def test_what_the_platform_says_where_the_program_does_not(deployed, state):
    """The platform's defaults hold, and there are as many threads as requests at once."""
    function = resource(state, gcp_state.FUNCTION)
    put(function, "serviceConfig", value={})
    served = deployed.functions([function])[0]
    assert (served.timeout, served.concurrency, served.environment) == (60, 100, {})
    assert (served.changed["THREADS"], served.changed["WORKERS"]) == ("1", str(MOST))


@pytest.mark.parametrize(
    ("paused", "consuming"), [((True,), False), ((False,), True), ((True, False), True), ((), True)]
)
def test_consuming(deployed, state, paused, consuming):
    """Is off where all queues that call it are paused; without one, a task may still name it."""
    function, copied = resource(state, gcp_state.FUNCTION), resource(state, gcp_state.QUEUE)
    queues = [copy.deepcopy(copied) for _ in paused]
    for queue, is_paused in zip(queues, paused, strict=True):
        put(queue, "desiredState", value="PAUSED" if is_paused else "RUNNING")
    (read,) = deployed.functions([function, *queues])
    assert read.consuming is consuming


def test_a_queue_without_a_target_calls_nobody(deployed, state):
    function, queue = resource(state, gcp_state.FUNCTION), resource(state, gcp_state.QUEUE)
    put(queue, "httpTarget", value={})
    put(queue, "desiredState", value="PAUSED")
    assert deployed.functions([function, queue])[0].consuming


@pytest.mark.parametrize("how", ["external", "delete"])
def test_what_is_looked_up_or_going_is_left_out(deployed, state, how):
    """A queue that was brought along is not in the emulator, and what is sent to it is a file."""
    resource(state, gcp_state.FUNCTION, "shop-receipts")[how] = True
    resource(state, gcp_state.QUEUE, "shop-receipts")[how] = True
    (orders,) = deployed.functions(state)
    assert orders.name == "shop-orders-dev"
    assert orders.changed["PEEKLOCK_RECEIPTS_URL"].endswith("/projects-contoso-dev-locations-europe-west1-queues-shop-receipts-dev.jsonl")  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "description"),
    [
        (("eventTrigger",), {"eventType": "google.cloud.pubsub.topic.v1.messagePublished"}, "an eventTrigger"),
        (("buildConfig", "runtime"), "nodejs22", "the runtime 'nodejs22', and only Python runs"),
        (("buildConfig", "entryPoint"), None, "no entryPoint"),
        (("serviceConfig", "secretEnvironmentVariables"), [{"key": "K"}], "secrets of Secret Manager"),
        (("serviceConfig", "secretVolumes"), [{"secret": "s"}], "secrets of Secret Manager"),
    ],
)
def test_what_cannot_run_here(deployed, state, base, path, value, description):
    """Is refused by its name, with the fix, also before anything is started."""
    put(resource(state, gcp_state.FUNCTION), *path, value=value)
    for act in (lambda: deployed.functions(state), lambda: deployed.serve(state, base)):
        with pytest.raises(ConfigError, match=f"'shop-orders-dev' has {description}.*leave it out of this stack"):
            act()


def url_of(deployed: GcpRunner, state: list[dict[str, Any]]) -> str:
    return next(iter(deployed.functions(state)[0].reached.values()))


def test_a_process_sees_nothing_of_the_users(deployed, context, state, base):
    """The process has the environment that it is given, and starts in the folder of its code."""
    canaries = dict.fromkeys(
        ("AWS_SECRET_ACCESS_KEY", "AZURE_CLIENT_SECRET", "GOOGLE_APPLICATION_CREDENTIALS"), "canary"
    )
    with environment(**canaries):
        deployed.serve(state, base)
    function = deployed.functions(state)[0]
    answer = requests.get(url_of(deployed, state), timeout=30).json()
    own = {"PYTHONPATH": str(context.code)}
    assert answer["cwd"] == str(context.code)
    seen = {name: value for name, value in answer["environment"].items() if name not in ADDED}
    assert seen == {**base, **own, **function.environment, **function.changed}


def test_a_projects_main_is_in_its_folder(deployed, context, state, base):
    """The one that `peeklock bundle gcp` would put at the root."""
    (context.code / "entry").mkdir()
    (context.code / "main.py").rename(context.code / "entry" / "main.py")
    table = '[tool.peeklock.bundle]\nqueues = ["q"]\n[tool.peeklock.bundle.gcp]\nlock = "l"\nroot = {}\n'
    (context.code / "pyproject.toml").write_text(table.format('"entry"'))
    deployed.serve(state, base)
    url = url_of(deployed, state)
    assert requests.get(url, timeout=30).json()["cwd"] == str(context.code)
    (context.code / "pyproject.toml").write_text(table.format('"elsewhere"'))
    with pytest.raises(ConfigError, match=r"no main.py in .*elsewhere.*`root` of \[tool.peeklock.bundle.gcp\]"):
        deployed.serve(state, base)
    assert requests.get(url, timeout=30).ok, "what ran before goes on"


def test_code_that_does_not_start(deployed, context, state, base):
    """Leaves none running, and its own words are heard."""
    main = context.code / "main.py"
    main.write_text(TELLING.format(first="if os.environ['WORKERS'] == '1': raise ValueError('not today')"))
    put(resource(state, gcp_state.FUNCTION, "shop-receipts"), "serviceConfig", "maxInstanceCount", value=1)
    with pytest.raises(PeeklockError, match="receipts_http did not start"):
        deployed.serve(state, base)
    assert "cloudtasks ValueError: not today" in (context.state.parent / "lines").read_text()
    with pytest.raises(requests.ConnectionError):
        requests.get(url_of(deployed, state), timeout=30)


def test_nothing_to_serve(deployed, base):
    """A program without functions is no error."""
    deployed.serve([], base)
    assert deployed.functions([]) == []


def test_where_tasks_go(deployed, context, state, base):
    """To a function by any of its addresses, to this machine, and nowhere else."""
    deployed.serve(state, base)
    port = urlsplit(url_of(deployed, state)).port
    known_url = "https://europe-west1-contoso-dev.cloudfunctions.net/shop-orders-dev"
    for url in (
        known_url,
        f"{known_url}/a?b=1",
        f"{known_url}?b=1",
        "https://shop-orders-dev-example-project.a.run.app/",
    ):
        assert deployed._route(url) == ("127.0.0.1", port)
    assert deployed._route("http://localhost:8080/x") == ("localhost", 8080)
    assert deployed._route("http://127.0.0.1/") == ("127.0.0.1", 80)
    assert deployed._route(f"{known_url}2") is None
    assert f"refused: a task is for {known_url}2" in (context.state.parent / "lines").read_text()
