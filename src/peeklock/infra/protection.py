"""Protection of a whole consumer in a protected stack."""

from __future__ import annotations

import pulumi

from peeklock.infra.options import Stage


def data_options(
    stage: Stage, parent: pulumi.Resource, after: list[pulumi.Resource] | None = None
) -> pulumi.ResourceOptions:
    """Return the options of a resource that holds data: in a protected stack it is neither replaced nor deleted, and left in
    place when the stack is destroyed. `after`: resources that it depends on."""
    return pulumi.ResourceOptions(
        parent=parent, protect=stage.protect, retain_on_delete=stage.protect, depends_on=after
    )


def protect_consumer(name: str, consumer: pulumi.ComponentResource, stage: Stage, parent: pulumi.Resource) -> None:
    """Make it an error to remove a consumer from its program, before any of its resources is deleted. Call it once all of
    them are made.

    A protected resource alone is not enough: the preview refuses to delete it, but `--skip-preview` first deletes what depends
    on it (mapping, function, alarms, roles) and fails at the queue only. Therefore a protected component depends on all of
    them: it is deleted first, its refusal ends the update, and it stands for nothing in the cloud.
    https://www.pulumi.com/docs/iac/concepts/resources/options/protect/
    """
    options = pulumi.ResourceOptions(parent=parent, protect=stage.protect, depends_on=[consumer])
    pulumi.ComponentResource("peeklock:infra:Kept", f"{name}-kept", None, options)
