"""SQS to Lambda on this machine."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self, Unpack

from cloudqueues.background import Background, BackgroundEmulator
from cloudqueues.callbacks import call_logged
from cloudqueues.errors import ConfigError
from cloudqueues.faults import NO_FAULTS, Faults
from cloudqueues.sqs_lambda.mapping import EventSourceMapping, Invocation
from cloudqueues.sqs_lambda.queue import Queue, QueueError
from cloudqueues.sqs_lambda.sandbox import Sandbox
from cloudqueues.sqs_lambda.sandbox_pool import SandboxPool
from cloudqueues.sqs_lambda.settings import Options, settings

REMEMBERED = 100_000
"""Number of invocations that are remembered."""

logger = logging.getLogger("cloudqueues.sqs_lambda")


class SqsLambda(BackgroundEmulator):
    """Event source mapping and its function: polls a queue as AWS does, and runs the handler in processes of AWS' own
    runtime interface client.

        with SqsLambda(queue_url=url, handler="app.handler", region="eu-west-1") as function:
            sqs.send_message(QueueUrl=url, MessageBody="{}")
            function.wait_idle(10)
            assert function.invocations[0].outcome == "success"

    The time is real and cannot be moved: use short visibility timeouts in tests. The fault `refuse` does nothing here, and
    a group of a FIFO queue never runs twice at once, even with `lose_lock`. Unlike in AWS, a warm process is not frozen
    between two events, and memory is not limited.
    """

    name = "SQS to Lambda emulator"

    def __init__(
        self,
        *,
        queue_url: str,
        handler: str,
        region: str,
        on_line: Callable[[str], None] | None = None,
        on_invocation: Callable[[Invocation], None] | None = None,
        faults: Faults = NO_FAULTS,
        **options: Unpack[Options],
    ) -> None:
        """`handler` is `module.function`, importable from the option `cwd`. `on_line` is called with each line that the
        function prints, which is logged otherwise, and `on_invocation` with each invocation once its messages are settled.
        Both are called in the emulator's thread, must be quick, and may not call `stop` or `wait_idle`. `faults` may be
        replaced at any time.

        Raises ConfigError for settings that AWS refuses, and for AWS itself as the endpoint.
        """
        self.faults = faults
        self._settings = settings(queue_url, handler, region, options)
        self._on_line = on_line or logger.info
        self._on_invocation = on_invocation
        self._invocations: deque[Invocation] = deque(maxlen=REMEMBERED)
        self._queue: Queue | None = None
        self._mapping: EventSourceMapping | None = None

    @property
    def invocations(self) -> Sequence[Invocation]:
        """Invocations that have ended, in that order."""
        return tuple(self._invocations)

    def start(self) -> Self:
        """Begin to poll. Processes start with the messages, except those that are `provisioned`.

        Raises ConfigError where the queue does not fit the function, or does not exist.
        """
        if self._background is not None:
            raise ConfigError("this SqsLambda was started already")
        if importlib.util.find_spec("awslambdaric") is None:
            raise ConfigError("the runtime interface client is not installed: pip install 'cloudqueues[sqs-lambda]'")
        return super().start()

    def _open(self, background: Background) -> None:
        background.run(self._start_mapping())

    def _close(self, background: Background) -> None:
        """Kill what runs. Its messages come back when their locks end."""
        background.run(self._stop_mapping())

    def wait_idle(self, timeout: float) -> None:
        """Wait until the queue holds no message, visible or not, and no invocation is under way.

        Raises TimeoutError after `timeout` seconds.
        """
        self._loop().run(self._idle(timeout))

    async def _start_mapping(self) -> None:
        settings = self._settings
        self._queue = Queue(settings.queue_url, settings.endpoint_url, settings.region)
        try:
            described = await self._queue.describe()
        except QueueError as exc:
            raise ConfigError(str(exc)) from exc
        if described.visibility < settings.timeout:
            raise ConfigError(
                f"the queue's visibility timeout of {described.visibility.total_seconds():g} s is below the function's"
                f" timeout of {settings.timeout.total_seconds():g} s: AWS refuses the mapping"
            )
        arn = f"arn:aws:lambda:{settings.region}:{described.arn.split(':')[4]}:function:{settings.function_name}"
        sandboxes = SandboxPool(lambda: Sandbox(settings, arn, self._heard))
        sandboxes.provision(settings.provisioned)
        self._mapping = EventSourceMapping(
            self._queue, settings, sandboxes, faults=lambda: self.faults, on_ended=self._ended
        )

    async def _stop_mapping(self) -> None:
        if self._mapping is not None:
            await self._mapping.close()
        if self._queue is not None:
            await self._queue.close()
        self._mapping = self._queue = None

    async def _idle(self, timeout: float) -> None:
        assert self._mapping is not None
        try:
            await asyncio.wait_for(self._mapping.idle(), timeout)
        except TimeoutError:
            last = self._invocations[-1].error if self._invocations else ""
            why = f"; the last invocation: {last}" if last else ""
            raise TimeoutError(f"{self._settings.queue_url} is not empty after {timeout:g} s{why}") from None

    def _heard(self, line: str) -> None:
        call_logged(logger, "on_line", self._on_line, line)

    def _ended(self, invocation: Invocation) -> None:
        self._invocations.append(invocation)
        if self._on_invocation is not None:
            call_logged(logger, "on_invocation", self._on_invocation, invocation)
