"""Queues of other apps, for `uses=`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from peeklock.errors import ConfigError
from peeklock.infra.inputs import check_text
from peeklock.queue import Queue


@dataclass(frozen=True, slots=True)
class Deployed:
    """Queue that another app deploys, in this program or in another stack: `uses=[Deployed(INVOICES, outputs)]`.

    `outputs`: the output object of the queue's consumer, such as `StackReference("acme/billing/prod").require_output("invoices")`
    or the entry `"invoices"` of what the other app's `all()` returns.
    """

    queue: Queue
    outputs: pulumi.Input[Any]
    """Any value can come from another stack, hence it is checked."""

    def output(self, name: str, check: Callable[[str, str], object] = check_text) -> pulumi.Output[str]:
        """Return one of the outputs, once it is known. `check`: raises ConfigError for an argument's name and its value. Raises
        ConfigError, during the update, for an object without it."""

        def read(outputs: object) -> str:
            argument = f"uses: outputs of queue {self.queue.name!r}"
            if not isinstance(outputs, Mapping) or name not in outputs:
                raise ConfigError(f"{argument} have no {name!r}; pass the output object of the queue's consumer")
            check(f"{argument}: {name}", outputs[name])
            return str(outputs[name])

        return pulumi.Output.from_input(self.outputs).apply(read)


Used = Queue | Deployed
"""Queue in `uses=`: of a consumer in the app, or of another app."""


def own(uses: Sequence[Used]) -> tuple[Queue, ...]:
    """Return the queues in `uses` that have a consumer in the app."""
    return tuple(used for used in uses if isinstance(used, Queue))


def deployed(uses: Sequence[Used]) -> tuple[Deployed, ...]:
    """Return the queues in `uses` that another app deploys."""
    return tuple(used for used in uses if isinstance(used, Deployed))


def queue_of(used: Used) -> Queue:
    """Return the declaration of a queue in `uses`."""
    return used.queue if isinstance(used, Deployed) else used
