"""docs/settings.md, docs/iam.md, docs/cost.md and docs/policy.md, docs/terraform.md and docs/ci.md say what the code does."""

from __future__ import annotations

import json
import os

import pytest

from peeklock.infra.azure.identity import Role as AzureRole
from tests.infra.pages import ci, cost, iam, policy, settings, terraform
from tests.infra.running import STACKS, program
from tests.support import ROOT

CLOUDS = ("aws", "azure", "gcp")


@pytest.fixture(scope="module", params=[(cloud, stack) for cloud in CLOUDS for stack in STACKS], ids="-".join)
def recorded(request, tmp_path_factory):
    cloud, stack = request.param
    return program(cloud, tmp_path_factory.mktemp(stack), stack)


@pytest.mark.parametrize("name", ["settings", "iam", "cost", "policy", "terraform", "ci"])
def test_a_page_is_as_the_code_is(name, tmp_path):
    """PEEKLOCK_RENEW_GOLDEN=1 writes it anew."""
    pages = {
        "settings": settings.settings,
        "iam": iam.iam,
        "cost": lambda: cost.cost(tmp_path),
        "policy": policy.policy,
        "terraform": terraform.terraform,
        "ci": ci.ci,
    }
    text = pages[name]()
    file = ROOT / "docs" / f"{name}.md"
    if os.environ.get("PEEKLOCK_RENEW_GOLDEN") == "1":
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text


def test_every_grant_of_a_program_is_on_the_page(recorded):
    """Actions on AWS, roles on the others."""
    page = iam.iam()
    granted = {name for registration in recorded.registrations for name in _granted(registration)}
    assert granted
    assert [name for name in sorted(granted) if name not in page] == []


def _granted(registration):
    if registration.type == "aws:iam/rolePolicy:RolePolicy":
        for statement in json.loads(registration.inputs["policy"])["Statement"]:
            yield from statement["Action"]
    if registration.type == "azure-native:authorization:RoleAssignment":
        yield AzureRole(registration.inputs["roleDefinitionId"].rpartition("/")[2]).name.replace("_", " ").title()
    if registration.type.endswith("Member") and "role" in registration.inputs:
        yield registration.inputs["role"]


def test_of_every_type_it_is_known_what_it_costs(recorded):
    """A new one is put where it belongs, or the page is wrong."""
    assert cost.unknown(recorded) == []


def test_nothing_is_kept_running(recorded):
    """Or it would cost while idle."""
    assert cost.always_on(recorded) == []
