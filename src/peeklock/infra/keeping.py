"""What keeps the consumer of a protected stack whole."""

from __future__ import annotations

import pulumi

from peeklock.infra.options import Stage


def keep_whole(name: str, consumer: pulumi.ComponentResource, stage: Stage, parent: pulumi.Resource) -> None:
    """Make a consumer that left its program an error before anything of it is deleted. Called once all of it is made.

    A protected resource alone does not do that: the preview refuses to delete it, but `--skip-preview` first deletes what
    depends on it (mapping, function, alarms, roles), and fails at the queue only. So something that is protected depends on
    all of them: it is the first to be deleted, its refusal ends the update, and nothing is in the cloud for it.
    https://www.pulumi.com/docs/iac/concepts/resources/options/protect/
    """
    options = pulumi.ResourceOptions(parent=parent, protect=stage.protect, depends_on=[consumer])
    pulumi.ComponentResource("peeklock:infra:Kept", f"{name}-kept", None, options)
