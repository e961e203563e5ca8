"""Each recipe of docs/infra-transform.md does what it says, in what a program registers."""

from __future__ import annotations

import re

import pytest

from handlers.orders.queue import ORDERS
from peeklock.infra.aws import App
from peeklock.infra.options import Capacity
from tests.infra.models.check import broken, refused
from tests.infra.running import bundled, run
from tests.infra.schema import problems
from tests.support import ROOT

FUNCTION = "aws:lambda/function:Function"

RECIPES = dict(
    re.findall(
        r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.+?)```",
        (ROOT / "docs" / "infra-transform.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
)


def recorded(recipe, tmp_path, *, ready=0, **config):
    """A program with the recipe's transform, whose registrations are what SDK and cloud take."""
    bundle = bundled(tmp_path / "aws.zip")

    def made():
        names = {}
        exec(RECIPES[recipe], names)
        app = App("shop", bundle=bundle, transform=names["transform"])
        app.consumer(ORDERS, handler="app.handler", capacity=Capacity(instances=2, ready=ready))
        app.all()

    registered = run(made, config)
    for registration in registered.registrations:
        assert [*problems(registration), *broken(registration), *refused(registration)] == []
    return registered


def test_there_are_five():
    assert len(RECIPES) == 5


@pytest.mark.parametrize(
    ("stable", "version", "weights"),
    [(None, "1", None), ("1", "1", {}), ("41", "41", {"1": 0.1})],
)
def test_a_canary_gets_a_tenth(tmp_path, stable, version, weights):
    config = {} if stable is None else {"stable": stable}
    alias = recorded("A canary", tmp_path, **config).named("shop-orders-live").inputs
    assert alias["functionVersion"] == version
    assert alias.get("routingConfig", {}).get("additionalVersionWeights") == weights


def test_instances_are_left_to_auto_scaling(tmp_path):
    (ready,) = recorded("Provisioned concurrency by the hour", tmp_path, ready=1).of(
        "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
    )
    assert ready.ignore_changes == ("provisionedConcurrentExecutions",)
    assert ready.inputs["provisionedConcurrentExecutions"] == 1


def test_the_processor_is_another(tmp_path):
    (function,) = recorded("x86_64", tmp_path).of(FUNCTION)
    assert function.inputs["architectures"] == ["x86_64"]


def test_a_layer_is_added(tmp_path):
    (function,) = recorded("A layer for every function", tmp_path).of(FUNCTION)
    assert [layer.rpartition("layer:")[2] for layer in function.inputs["layers"]] == ["common:7"]


def test_a_sidecar_has_its_variable_and_the_handler_keeps_its_own(tmp_path):
    (function,) = recorded("A sidecar", tmp_path).of(FUNCTION)
    variables = function.inputs["environment"]["variables"]
    assert variables["COLLECTOR_CONFIG"] == "/var/task/collector.yaml"
    assert variables[ORDERS.variable("FINGERPRINT")] == ORDERS.fingerprint
    assert function.inputs["memorySize"] == 512 + 128
    assert function.inputs["layers"][0].endswith("collector:3")
