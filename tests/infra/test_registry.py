"""Registration of consumers: what each cloud's `App` refuses in the stack's configuration."""

from __future__ import annotations

import importlib

import pytest

from peeklock import ConfigError, Queue
from tests.infra.running import bundled, run

HANDLERS = {"aws": "a.b", "azure": "a.b", "gcp": "main.a"}
CONFIG = {"gcp:project": "contoso-dev", "gcp:region": "europe-west1"}


def program(cloud, tmp_path, config):
    bundle = str(bundled(tmp_path / "bundle.zip"))

    def made():
        app = importlib.import_module(f"peeklock.infra.{cloud}").App("shop", bundle=bundle)
        app.consumer(Queue("orders"), handler=HANDLERS[cloud])
        app.all()

    return run(made, {**CONFIG, "capacity": {"orders": {"batch": 1}}, **config})


@pytest.mark.parametrize("cloud", HANDLERS)
@pytest.mark.parametrize(
    ("config", "fix"),
    [
        ({"capacity": {"orders": {"batch": 1}, "ordrs": {"batch": 1}}}, r"'ordrs', .* did you mean 'orders'\?"),
        ({"stge": {"protect": False}}, r"'stge', which is not read; did you mean 'stage'\?"),
        ({"stage": {"protect": "no"}}, "protect='no': use true or false"),
        ({"stage": ["dev"]}, r"the stack's stage is \['dev'\]; use a mapping"),
    ],
)
def test_a_mistake_in_the_stacks_configuration_is_refused(cloud, config, fix, tmp_path):
    """Instead of being ignored, with the name that was meant. (issue 13)"""
    with pytest.raises(ConfigError, match=fix):
        program(cloud, tmp_path, config)


@pytest.mark.parametrize("cloud", HANDLERS)
def test_a_projects_own_keys_are_its_own(cloud, tmp_path):
    recorded = program(cloud, tmp_path, {"bucket": "b", "x:stage": "y"})
    assert "orders" in recorded.outputs
