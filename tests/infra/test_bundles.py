"""The bundle that a program names, before anything of it is deployed."""

from __future__ import annotations

import importlib
import json
import zipfile

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


def made(path, told=None):
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("code.py", "")
        if told is not None:
            bundle.writestr(build.MANIFEST, json.dumps(told))
    return str(path)


def deploy(cloud, path):
    def program():
        app = importlib.import_module(f"peeklock.infra.{cloud}").App("shop", bundle=path)
        app.consumer(ORDERS, handler=HANDLERS[cloud], capacity=Capacity(batch=1, memory=512))

    return run(program, CONFIG)


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize(
    ("told", "fix"),
    [
        ({"platform": "another", "queues": {}}, "is for another; name the one of `peeklock bundle"),
        ({"queues": {}}, "declares no queue 'orders': add its module to `queues`"),
        ({"queues": {"orders": "0" * 12}}, "was declared as it is now .* make it anew: peeklock bundle"),
    ],
)
def test_a_bundle_that_would_not_start_is_refused(cloud, told, fix, tmp_path):
    """By the program, and not at each cold start of what it deployed."""
    with pytest.raises(ConfigError, match=fix):
        deploy(cloud, made(tmp_path / "bundle.zip", {"platform": cloud, **told}))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_bundle_that_fits(cloud, tmp_path):
    """Also one that says nothing of itself."""
    fits = {"platform": cloud, "queues": {"orders": ORDERS.fingerprint, "others": "0"}}
    assert deploy(cloud, made(tmp_path / "bundle.zip", fits)).registrations
    assert deploy(cloud, made(tmp_path / "plain.zip")).registrations


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_bundle_that_is_missing_or_broken(cloud, tmp_path):
    """With the command that makes it."""
    with pytest.raises(ConfigError, match=f"is not there; make it first: peeklock bundle {cloud}"):
        deploy(cloud, str(tmp_path / "none.zip"))
    (tmp_path / "broken.zip").write_text("no zip")
    with pytest.raises(ConfigError, match=f"is no zip file; make it anew: peeklock bundle {cloud}"):
        deploy(cloud, str(tmp_path / "broken.zip"))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_queues_that_would_share_their_variables(cloud, tmp_path):
    """One would overwrite the other's address: also where one of them is only sent to."""

    def program():
        app = importlib.import_module(f"peeklock.infra.{cloud}").App("shop", bundle=made(tmp_path / "plain.zip"))
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
    with environment(**{bundles.VARIABLE: made(tmp_path / "mine.zip")}):
        assert bundles.find("none.zip", "aws") == tmp_path / "mine.zip"


def test_both_mean_the_same_file():
    """Neither may import the other."""
    assert bundles.MANIFEST == build.MANIFEST
