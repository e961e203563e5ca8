"""The bundle that a program names, before anything of it is deployed."""

from __future__ import annotations

import importlib
import json
import zipfile
from pathlib import Path

import pytest

from handlers.orders.queue import ORDERS
from peeklock import ConfigError, Queue
from peeklock.bundle import build
from peeklock.infra import bundles
from peeklock.infra.options import Capacity
from tests.infra.running import run
from tests.support import environment

CLOUDS = ("aws", "azure", "gcp")
HANDLERS = {
    "aws": "handlers.aws_sqs.handler.handler",
    "azure": "handlers.orders.charge.charge",
    "gcp": "main.charge_http",
}
CONFIG = {"gcp:project": "contoso-dev", "gcp:region": "europe-west1"}


def bundle_at(path, manifest=None):
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("code.py", "")
        if manifest is not None:
            bundle.writestr(build.MANIFEST, json.dumps(manifest))
    return str(path)


def deploy(cloud, path, handler=None):
    def program():
        app = importlib.import_module(f"peeklock.infra.{cloud}").App("shop", bundle=path)
        app.consumer(ORDERS, handler=handler or HANDLERS[cloud], capacity=Capacity(batch=1, memory=512))
        app.all()

    return run(program, CONFIG)


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize(
    ("manifest", "fix"),
    [
        ({"platform": "another", "queues": {}}, "is for another; name the one of `peeklock bundle"),
        ({"queues": {}}, "declares no queue 'orders': add its module to `queues`"),
        ({"queues": {"orders": "0" * 12}}, "was declared as it is now .* make it again: peeklock bundle"),
    ],
)
def test_a_bundle_that_would_not_start_is_refused(cloud, manifest, fix, tmp_path):
    """The program refuses it, and not each cold start of what it deployed."""
    with pytest.raises(ConfigError, match=fix):
        deploy(cloud, bundle_at(tmp_path / "bundle.zip", {"platform": cloud, **manifest}))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_bundle_that_fits(cloud, tmp_path):
    """Also one that says nothing of itself."""
    fits = {"platform": cloud, "queues": {"orders": ORDERS.fingerprint, "others": "0"}}
    assert deploy(cloud, bundle_at(tmp_path / "bundle.zip", fits)).registrations
    assert deploy(cloud, bundle_at(tmp_path / "plain.zip")).registrations


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_bundle_that_is_missing_or_broken(cloud, tmp_path):
    """With the command that makes it."""
    with pytest.raises(ConfigError, match=f"does not exist; make it first: peeklock bundle {cloud}"):
        deploy(cloud, str(tmp_path / "none.zip"))
    (tmp_path / "broken.zip").write_text("no zip")
    with pytest.raises(ConfigError, match=f"is not a zip file; make it again: peeklock bundle {cloud}"):
        deploy(cloud, str(tmp_path / "broken.zip"))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_queues_that_would_share_their_variables(cloud, tmp_path):
    """One would overwrite the other's address: also where one of them is only sent to."""

    def program():
        app = importlib.import_module(f"peeklock.infra.{cloud}").App("shop", bundle=bundle_at(tmp_path / "plain.zip"))
        app.consumer(
            Queue("my-orders"),
            handler=HANDLERS[cloud],
            capacity=Capacity(batch=1, memory=512),
            uses=[Queue("my_orders")],
        )

    with pytest.raises(ConfigError, match="queues 'my-orders' and 'my_orders' would share PEEKLOCK_MY_ORDERS_URL"):
        run(program, CONFIG)


def test_another_bundle_than_the_programs(tmp_path):
    """Is named by the environment."""
    with environment(**{bundles.VARIABLE: bundle_at(tmp_path / "mine.zip")}):
        assert bundles.find("none.zip", "aws") == tmp_path / "mine.zip"


ENTRIES = {
    "handlers.aws_sqs.handler.handler": {"kind": "sqs", "queue": "orders"},
    "handlers.aws_sqs.handler.receipts_handler": {"kind": "sqs", "queue": "receipts"},
    "handlers.aws_sqs.handler.traced": {"kind": "sqs", "queue": None},
    "handlers.aws_sqs.handler.wrapped": None,
    "handlers.orders.charge.charge": {"kind": "consumer", "queue": "orders"},
    "handlers.orders.charge.refund": {"kind": "consumer", "queue": "refunds"},
    "handlers.orders.charge.later": {"kind": "consumer", "queue": None},
    "handlers.orders.charge.made": None,
    "main.charge_http": {"kind": "cloudtasks", "queue": "orders"},
    "main.receipts_http": {"kind": "cloudtasks", "queue": "receipts"},
    "main.later_http": {"kind": "cloudtasks", "queue": None},
    "main.push": {"kind": "pubsub", "queue": "orders"},
    "main.other": None,
    "dynamic.*": None,
}


def with_entries(tmp_path, cloud, entries=ENTRIES):
    manifest = {"platform": cloud, "queues": {"orders": ORDERS.fingerprint}, "entries": entries}
    return bundle_at(tmp_path / "bundle.zip", manifest)


@pytest.mark.parametrize(
    ("cloud", "handler", "fix"),
    [
        (
            "aws",
            "handlers.aws_sqs.handler.handlr",
            r"has no 'handlr'; did you mean handlers\.aws_sqs\.handler\.handler\?",
        ),
        ("aws", "handlers.aws_sqs.handler.x", r"has no 'x'; name handlers\.aws_sqs\.handler\.handler$"),
        (
            "aws",
            "handlers.aws_sq.handler.handler",
            r"no module handlers\.aws_sq\.handler; name handlers\.aws_sqs\.handler\.h",
        ),
        (
            "aws",
            "handlers.aws_sqs.handler.receipts_handler",
            r"consumes queue 'receipts', .* 'orders'; name handlers\.aws_sqs",
        ),
        (
            "aws",
            "handlers.orders.charge.charge",
            r"is the consumer itself, .* needs made by sqs\.bind; name handlers\.aws",
        ),
        ("azure", "handlers.orders.charge.chrage", r"has no 'chrage'; did you mean handlers\.orders\.charge\.charge\?"),
        (
            "azure",
            "handlers.orders.charge.refund",
            r"consumes queue 'refunds', and the function is that of 'orders'; name",
        ),
        (
            "azure",
            "handlers.aws_sqs.handler.handler",
            r"is made by sqs\.bind, .* needs the consumer itself; name handlers\.o",
        ),
        ("gcp", "main.charge", r"has no 'charge'; did you mean main\.charge_http\?"),
        (
            "gcp",
            "main.receipts_http",
            r"consumes queue 'receipts', and the function is that of 'orders'; name main\.charge_h",
        ),
        ("gcp", "main.push", r"is made by pubsub\.bind, .* needs made by cloudtasks\.bind; name main\.charge_http"),
    ],
)
def test_a_handler_that_is_none_is_refused(cloud, handler, fix, tmp_path):
    """A wrong name, the handler of another queue, or of another kind: each cloud would take it. (trials 5.19)"""
    with pytest.raises(ConfigError, match=fix):
        deploy(cloud, with_entries(tmp_path, cloud), handler)


@pytest.mark.parametrize(
    ("cloud", "handler"),
    [
        *(("aws", f"handlers.aws_sqs.handler.{name}") for name in ("handler", "traced", "wrapped")),
        ("aws", "handlers/aws_sqs/handler.handler"),
        ("aws", "dynamic.anything"),
        ("aws", "code.handler"),
        *(("azure", f"handlers.orders.charge.{name}") for name in ("charge", "later", "made")),
        *(("gcp", f"main.{name}") for name in ("charge_http", "later_http", "other")),
    ],
)
def test_a_handler_that_may_be_one(cloud, handler, tmp_path):
    """A handler that could not be read is not refused, and neither is one in somebody else's module in the bundle."""
    bundles.check(Path(with_entries(tmp_path, cloud)), cloud, ORDERS, handler)


def test_names_without_a_hint(tmp_path):
    """Where the bundle has nothing for the queue."""
    path = Path(with_entries(tmp_path, "aws", {"app.one": None}))
    with pytest.raises(ConfigError, match="has no 'two'; correct it, or: peeklock bundle aws"):
        bundles.check(path, "aws", ORDERS, "app.two")
    with pytest.raises(ConfigError, match="has no module other; correct it"):
        bundles.check(path, "aws", ORDERS, "other.two")


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_app_that_is_not_ended(cloud, tmp_path):
    """Fails in the preview: else a stack without outputs, and perhaps without a function, is made. (trials 5.19)"""

    def program():
        app = importlib.import_module(f"peeklock.infra.{cloud}").App("shop", bundle=bundle_at(tmp_path / "plain.zip"))
        app.consumer(ORDERS, handler=HANDLERS[cloud], capacity=Capacity(batch=1, memory=512), uses=[Queue("none")])

    with pytest.raises(ConfigError, match=r"app 'shop' is not finished: call all\(\) on it after its last consumer"):
        run(program, CONFIG, preview=True)


def test_both_mean_the_same_file():
    """Neither may import the other."""
    assert bundles.MANIFEST == build.MANIFEST
