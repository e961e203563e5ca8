"""One number of a declaration, on three clouds at once: what follows from it changes, and nothing else does."""

from __future__ import annotations

import importlib

import pytest

from peeklock import Queue
from peeklock.infra.options import Capacity, Stage
from tests.infra.running import bundled, differences, run

HANDLERS = {"aws": "orders.handler", "azure": "orders.charge", "gcp": "main.charge_http"}
CONFIG = {"gcp:project": "contoso-dev", "gcp:region": "europe-west1"}


def deployed(cloud, bundle, queue):
    def program():
        app = importlib.import_module(f"peeklock.infra.{cloud}").App("shop", bundle=bundle, stage=Stage(protect=False))
        app.consumer(queue, handler=HANDLERS[cloud], capacity=Capacity(batch=1, memory=512))
        app.all()

    return run(program, CONFIG)


LOCK, URL = "PEEKLOCK_ORDERS_LOCK", "PEEKLOCK_ORDERS_URL"


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (
            {"timeout": 60},
            {
                "aws": {
                    ("Queue", "visibilityTimeoutSeconds"),
                    ("Function", "timeout"),
                    ("MetricAlarm", "evaluationPeriods"),  # errors look back for as long as an event is hidden
                },
                "azure": {
                    ("Queue", "lockDuration"),
                    ("WebApp", LOCK),
                    ("Blob", "blobName"),  # host.json is in it
                    ("Deployment", "resources"),
                },
                "gcp": {("Function", "timeoutSeconds"), ("Function", LOCK), ("Function", URL)},
            },
        ),
        ({"max_attempts": 6}, {"aws": set(), "azure": set(), "gcp": set()}),  # peeklock counts them itself
        ({"first_delay": 5}, {"aws": set(), "azure": set(), "gcp": {("Queue", "minBackoff")}}),
        (
            {"max_delay": 60},
            {"aws": set(), "azure": set(), "gcp": {("Queue", "maxBackoff"), ("AlertPolicy", "conditions")}},
        ),
    ],
)
def test_what_follows_from_it(change, changed, tmp_path):
    """And the declaration's fingerprint, wherever it is told."""
    bundle = str(bundled(tmp_path / "bundle.zip"))
    followers = {}
    for cloud in HANDLERS:
        before, after = (deployed(cloud, bundle, queue) for queue in (Queue("orders"), Queue("orders", **change)))
        changes = differences(before, after)
        inputs = {(kind, name.rpartition(".")[2]) for (kind, _), names in changes.items() for name in names}
        assert {name for _, name in inputs} >= {"PEEKLOCK_ORDERS_FINGERPRINT", "fingerprint"}
        followers[cloud] = {input_ for input_ in inputs if not input_[1].lower().endswith("fingerprint")}
    assert followers == changed
