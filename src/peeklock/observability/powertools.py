"""Observer that reports to the Logger, Metrics and Tracer of aws-lambda-powertools, each where it is passed."""

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
    """Reports one structured log record per settlement, one set of metrics per event and one subsegment per run.

    Metrics, with the dimensions `queue` and `platform`:

    - `Settled`: deliveries that were an attempt, or that ended without one.
    - `Failed`: deliveries that ended as retry, timeout, unavailable, invalid, fatal, exhausted or expired. `unavailable` is no
      attempt, and is counted in both.
    - `Unexplained`: dead letters whose queue had no room for their reason.
    - `Unrecorded`: successes that the store did not record.
    - `LatencyMs`: time from a message's sending to its settlement. `DurationMs`: time of a run.
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
            for settlement in settled:
                self._log(self.logger, platform, settlement)
        if self.metrics is not None and settled:
            self._measure(self.metrics, platform, settled)

    def _log(self, logger: Logger, platform: str, settlement: Settled) -> None:
        log_at = {logging.INFO: logger.info, logging.WARNING: logger.warning, logging.ERROR: logger.error}
        outcome = settlement.outcome
        log_at[level_of(outcome)](
            "peeklock.settled", extra=dict(fields(platform, settlement)), exc_info=error_of(outcome)
        )

    def _measure(self, metrics: Metrics, platform: str, settled: Sequence[Settled]) -> None:
        from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

        # A separate set, since `Metrics` is shared by the whole process and holds the handler's own metrics.
        own = EphemeralMetrics(
            namespace=metrics.namespace, service=metrics.service, default_dimensions=dict(metrics.default_dimensions)
        )
        own.add_dimension("queue", settled[0].message.queue)
        own.add_dimension("platform", platform)
        reasons = [settlement.outcome.reason for settlement in settled]
        counted = sum(reason in FAILED or reason not in NOT_AN_ATTEMPT for reason in reasons)
        own.add_metric("Settled", MetricUnit.Count, counted)
        own.add_metric("Failed", MetricUnit.Count, sum(reason in FAILED for reason in reasons))
        rare = {
            "Unexplained": sum(settlement.outcome.unexplained for settlement in settled),
            "Unrecorded": sum(settlement.outcome.unrecorded for settlement in settled),
        }
        for name, count in rare.items():
            if count:
                own.add_metric(name, MetricUnit.Count, count)
        for settlement in settled:
            latency = latency_ms(settlement.message)
            if latency is not None and settlement.outcome.finished:
                own.add_metric("LatencyMs", MetricUnit.Milliseconds, latency)
            if settlement.duration:
                own.add_metric("DurationMs", MetricUnit.Milliseconds, settlement.duration * 1000)
        own.flush_metrics()
