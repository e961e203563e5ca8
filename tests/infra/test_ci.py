"""docs/ci.md grants what the programs need, and the pipelines are what they say."""

from __future__ import annotations

import json
from importlib import resources

import pytest
import yaml
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from cloudqueues.pulumi.aws_requests import CALLS
from tests.infra.aws.cfn import TYPES
from tests.infra.pages import ci
from tests.infra.running import STACKS, program
from tests.support import ROOT


@pytest.fixture(scope="module", params=("aws", "azure", "gcp"))
def cloud(request):
    return request.param


@pytest.fixture(scope="module")
def registrations(cloud, tmp_path_factory):
    """All that the programs register, in any stack."""
    recorded = [program(cloud, tmp_path_factory.mktemp(stack), stack) for stack in STACKS]
    return [registration for stack in recorded for registration in stack.registrations if registration.custom]


def test_every_type_has_a_row(cloud, registrations):
    types = {registration.type for registration in registrations if not registration.type.startswith("peeklock:")}
    rows = {
        "aws": set(ci.CRUD),
        "azure": {type_.partition(":")[2] for type_ in types},  # one role for all; see the next test
        "gcp": {type_ for role in ci.GCP.values() for type_ in role},
    }
    assert {type_.partition(":")[2] for type_ in types} == rows[cloud]


def test_only_the_programs_roles_are_assigned(cloud, registrations):
    if cloud == "azure":
        assigned = {
            registration.inputs["roleDefinitionId"].rpartition("/")[2]
            for registration in registrations
            if registration.type == "azure-native:authorization:RoleAssignment"
        }
        assert assigned
        assert [role for role in assigned if role not in ci.condition()] == []
    if cloud == "gcp":
        granted = {
            registration.inputs["role"]
            for registration in registrations
            if registration.type == "gcp:projects/iAMMember:IAMMember"
        }
        assert granted == set(ci.PROJECT_ROLES)


@pytest.fixture(scope="module")
def iam_actions():
    """Every action of IAM, in small letters, as cfn-lint lists them."""
    text = resources.files("cfnlint.data.AdditionalSpecs").joinpath("Policies.json").read_text("utf-8")
    return {
        f"{service}:{action}" for service, content in json.loads(text).items() for action in content.get("Actions", ())
    }


@pytest.mark.parametrize("type_", ci.CRUD)
def test_each_action_exists(type_, iam_actions):
    assert [action for action in ci.actions(type_) if action.lower() not in iam_actions] == []


@pytest.mark.parametrize("type_", ci.CRUD)
def test_no_action_is_more_than_cloudformation_needs(type_):
    """The handlers of CloudFormation do the same to the same types."""
    kind = {
        "sqs/redrivePolicy:RedrivePolicy": "AWS::SQS::Queue",
        "sqs/redriveAllowPolicy:RedriveAllowPolicy": "AWS::SQS::Queue",
        "sqs/queuePolicy:QueuePolicy": "AWS::SQS::Queue",
    }.get(type_) or TYPES[f"aws:{type_}"][0]
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema["handlers"]
    needed = {action for handler in handlers.values() for action in handler["permissions"]}
    assert set(ci.actions(type_)) - needed - ci.PROVIDER == set()


def test_every_call_of_the_programs_is_allowed(tmp_path):
    recorded = program("aws", tmp_path, "prod")
    calls = set()
    for registration in recorded.registrations:
        type_ = registration.type.removeprefix("aws:")
        if type_ in CALLS:
            inputs = {"name": registration.name, **registration.inputs}
            calls |= {(type_, f"{service}:{name}") for service, name, _ in CALLS[type_](inputs)}
    assert calls
    assert [(type_, action) for type_, action in sorted(calls) if action not in ci.actions(type_)] == []


def test_the_policy_allows_each_action_once():
    """And on `*` only what is listed there."""
    statements = ci.policy()["Statement"]
    actions = [
        action
        for statement in statements
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    ]
    assert sorted(actions) == sorted({action for type_ in ci.CRUD for action in ci.actions(type_)})
    (anywhere,) = (statement for statement in statements if statement["Resource"] == "*")
    assert set(anywhere["Action"]) == ci.ANYWHERE


def test_a_preview_changes_nothing():
    for statement in ci.policy(changing=False)["Statement"]:
        for action in statement["Action"]:
            assert action.partition(":")[2].startswith(("Get", "List", "Describe"))


def pipeline(name):
    return yaml.safe_load((ROOT / "infra" / "ci" / name).read_text(encoding="utf-8"))


def test_github_deploys_one_environment_after_the_other():
    jobs = pipeline("github.yml")["jobs"]
    commands = {name: job["steps"][-1]["with"]["command"] for name, job in jobs.items()}
    assert commands == {"preview": "preview", "staging": "up", "prod": "up"}
    assert jobs["prod"]["needs"] == "staging"
    for name in ("staging", "prod"):
        assert jobs[name]["environment"] == jobs[name]["steps"][-1]["with"]["stack-name"] == name
        assert jobs[name]["if"] == "github.event_name == 'push'"


@pytest.mark.parametrize("name", ["github.yml", "azure-pipelines.yml"])
def test_no_pipeline_holds_a_key(name):
    text = (ROOT / "infra" / "ci" / name).read_text(encoding="utf-8").lower()
    assert [word for word in ("secrets.", "access_key", "client_secret", "password") if word in text] == []


def test_azure_devops_deploys_one_environment_after_the_other():
    stages = {stage["stage"]: stage for stage in pipeline("azure-pipelines.yml")["stages"]}
    assert list(stages) == ["preview", "staging", "prod"]
    assert (stages["staging"]["dependsOn"], stages["prod"]["dependsOn"]) == ([], "staging")
    for name in ("staging", "prod"):
        (job,) = stages[name]["jobs"]
        assert job["environment"] == name
        steps = job["strategy"]["runOnce"]["deploy"]["steps"]
        assert f"pulumi up --cwd infra/azure --stack {name} --yes" in steps[-1]["inputs"]["inlineScript"]
