"""The project's own programs, by the unmodified command, for each stack there is."""

from __future__ import annotations

import pytest

from tests.support import ROOT

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

STACKS = [
    (file.parent.name, file.name.split(".")[1])
    for file in sorted((ROOT / "infra").glob("*/Pulumi.*.yaml"))
    if (file.parent / "__main__.py").is_file()
]


def test_there_are_programs():
    """Or the table below is empty, and passes."""
    assert {stack for _, stack in STACKS} == {"dev", "staging", "prod"}


@pytest.mark.parametrize(("cloud", "stack"), STACKS)
def test_a_stack_from_init_to_destroy(clouds, copied, cloud, stack):
    """It is made as previewed, a second `up` and a refresh find nothing, and what is protected is let go by hand only."""
    engine = clouds.engine(cloud, copied(cloud))
    engine.init(stack)
    preview = engine.preview(stack)
    created = engine.up(stack)
    assert created.of("create") == preview.of("create")
    assert engine.up(stack).steps == ()
    assert engine.refresh(stack).steps == ()
    assert {"orders", "receipts", "environment"} <= set(engine.outputs(stack))
    if any(resource.get("protect") for resource in engine.resources(stack)):
        with pytest.raises(Exception, match="protect"):
            engine.destroy(stack)
        engine.command("state", "unprotect", "--all", "--yes", "--stack", stack)
    engine.destroy(stack)
    assert engine.resources(stack) == []
    assert engine.refused_addresses == ()
