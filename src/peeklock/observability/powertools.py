"""aws-lambda-powertools as an observer: its Logger, its Metrics and its Tracer, each if it is given."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from peeklock.message import Message
from peeklock.observability.observer import Settled, error_of, fields, latency_ms, level_of
from peeklock.outcome import FAILED, NOT_AN_ATTEMPT

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger, Metrics, Tracer


class PowertoolsObserver:
    """One structured record a settlement, one set of metrics an event, one subsegment a run.

    Metrics: `Settled` counts the deliveries of an event that were an attempt, or an end without one; `Failed` those that end as
    retry, timeout, unavailable, invalid, fatal, exhausted or expired, `unavailable` being no attempt and counted in both;
    `Unexplained` the dead letters whose queue had no room for their reason; `Unrecorded` the successes that the store did not
    take. `LatencyMs` is the time from a message's sending to its settlement, `DurationMs` that of a run. Dimensions:
    `queue`, `platform`.
    """

    def __init__(
        self, *, logger: Logger | None = None, metrics: Metrics | None = None, tracer: Tracer | None = None
    ) -> None:
        self.logger = logger
        self.metrics = metrics
        self.tracer = tracer

    def running(self, message: Message, /) -> AbstractContextManager[object] | None:
        if self.tracer is None:
            return None
        segment: AbstractContextManager[object] = self.tracer.provider.in_subsegment(name=f"## {message.queue}")
        return segment

    def settled(self, platform: str, settled: Sequence[Settled], /) -> None:
        if self.logger is not None:
            for one in settled:
                self._log(self.logger, platform, one)
        if self.metrics is not None and settled:
            self._measure(self.metrics, platform, settled)

    def _log(self, logger: Logger, platform: str, one: Settled) -> None:
        tell = {logging.INFO: logger.info, logging.WARNING: logger.warning, logging.ERROR: logger.error}
        outcome = one.outcome
        tell[level_of(outcome)]("peeklock.settled", extra=dict(fields(platform, one)), exc_info=error_of(outcome))

    def _measure(self, metrics: Metrics, platform: str, settled: Sequence[Settled]) -> None:
        from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

        # A set of its own: `Metrics` is one for the whole process, and has what the handler measures.
        own = EphemeralMetrics(
            namespace=metrics.namespace, service=metrics.service, default_dimensions=dict(metrics.default_dimensions)
        )
        own.add_dimension("queue", settled[0].message.queue)
        own.add_dimension("platform", platform)
        reasons = [one.outcome.reason for one in settled]
        counted = sum(reason in FAILED or reason not in NOT_AN_ATTEMPT for reason in reasons)
        own.add_metric("Settled", MetricUnit.Count, counted)
        own.add_metric("Failed", MetricUnit.Count, sum(reason in FAILED for reason in reasons))
        rare = {
            "Unexplained": sum(one.outcome.unexplained for one in settled),
            "Unrecorded": sum(one.outcome.unrecorded for one in settled),
        }
        for name, count in rare.items():
            if count:
                own.add_metric(name, MetricUnit.Count, count)
        for one in settled:
            latency = latency_ms(one.message)
            if latency is not None and one.outcome.finished:
                own.add_metric("LatencyMs", MetricUnit.Milliseconds, latency)
            if one.duration:
                own.add_metric("DurationMs", MetricUnit.Milliseconds, one.duration * 1000)
        own.flush_metrics()
