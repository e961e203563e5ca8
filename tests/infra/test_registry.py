"""Registration of consumers: what each cloud's `App` refuses in the stack's configuration."""

from __future__ import annotations

import importlib

import pulumi
import pytest

from peeklock import ConfigError, Queue
from tests.infra.running import bundled, run

HANDLERS = {"aws": "a.b", "azure": "a.b", "gcp": "main.a"}
CONFIG = {"gcp:project": "contoso-dev", "gcp:region": "europe-west1"}


def program(cloud, tmp_path, config):
    bundle = str(bundled(tmp_path / "bundle.zip"))

    def program():
        app = importlib.import_module(f"peeklock.infra.{cloud}").App("shop", bundle=bundle)
        app.consumer(Queue("orders"), handler=HANDLERS[cloud])
        app.all()

    return run(program, {**CONFIG, "capacity": {"orders": {"batch": 1}}, **config})


@pytest.mark.parametrize("cloud", HANDLERS)
def test_an_unknown_keyword_is_refused_with_the_nearest_name(cloud):
    """Keywords of `App` and of `consumer`, which needs no app for that, are checked. (stranger 2, papercut 9)"""
    app = importlib.import_module(f"peeklock.infra.{cloud}").App
    with pytest.raises(ConfigError, match=r"App\(\) takes no stge=: did you mean 'stage'\?"):
        app("shop", bundle="b.zip", stge=None)
    with pytest.raises(ConfigError, match=r"App\.consumer\(\) takes no use=: did you mean 'uses'\?"):
        app.consumer(None, Queue("orders"), handler="a.b", use=[])


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


def apps(cloud, tmp_path, *, export, capacity=None):
    """Run a program with two apps."""
    names = ("shop", "billing")
    bundle = str(bundled(tmp_path / "bundle.zip"))

    def program():
        app_class = importlib.import_module(f"peeklock.infra.{cloud}").App
        declared = [app_class(name, bundle=bundle) for name in names]
        for app, queue in zip(declared, ("orders", "invoices"), strict=True):
            app.consumer(Queue(queue), handler=HANDLERS[cloud])
        for app, name in zip(declared, names, strict=True):
            outputs = app.all(export=export)
            if not export:
                pulumi.export(name, outputs)

    return run(program, {**CONFIG, "capacity": {"orders": {"batch": 1}, "invoices": {"batch": 1}, **(capacity or {})}})


@pytest.mark.parametrize("cloud", HANDLERS)
def test_a_program_may_have_several_apps(cloud, tmp_path):
    """Whose outputs do not replace each other. (issue 15)"""
    outputs = apps(cloud, tmp_path, export=False).outputs
    assert set(outputs) == {"shop", "billing"}
    assert set(outputs["shop"]) == {"orders", "environment", "dashboard"}
    assert "PEEKLOCK_INVOICES_URL" in outputs["billing"]["environment"]


@pytest.mark.parametrize("cloud", HANDLERS)
def test_outputs_of_a_second_app_never_replace_those_of_the_first(cloud, tmp_path):
    with pytest.raises(
        ConfigError, match=r"app 'billing': the stack has an output 'environment' already.*export=False"
    ):
        apps(cloud, tmp_path, export=True)


@pytest.mark.parametrize("cloud", HANDLERS)
def test_the_capacity_is_checked_against_the_queues_of_all_apps(cloud, tmp_path):
    with pytest.raises(ConfigError, match=r"'invoice', which has no consumer .* did you mean 'invoices'\?"):
        apps(cloud, tmp_path, export=False, capacity={"invoice": {"batch": 1}})
