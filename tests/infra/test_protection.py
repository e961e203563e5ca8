"""Protection of consumers in a protected stack; tests/infra/engine/test_protected.py shows that it works."""

from __future__ import annotations

import pytest

from tests.infra.running import program


@pytest.mark.parametrize("stack", ["dev", "prod"])
@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_each_consumer_has_one_that_depends_on_all_of_it(cloud, stack, tmp_path):
    """So that it is the first to be deleted: protected where the stack is. (trials 5.20)"""
    recorded = program(cloud, tmp_path, stack)
    for name in ("orders", "receipts"):
        consumer = recorded.named(f"shop-{name}", f"peeklock:{cloud}:Consumer")
        parts = {
            registration.urn
            for registration in recorded.registrations
            if registration.custom and registration.parent == consumer.urn
        }
        keeper = recorded.named(f"shop-{name}-kept", "peeklock:infra:Kept")
        assert parts
        assert parts <= set(keeper.dependencies)
        assert keeper.protect is (stack == "prod")
        assert keeper.parent != consumer.urn, "what a consumer is deleted with"
