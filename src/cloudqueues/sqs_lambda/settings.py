"""Settings of an event source mapping and its function, checked against the limits of AWS."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

from cloudqueues.durations import ZERO, Seconds, seconds
from cloudqueues.errors import ConfigError
from cloudqueues.quotas.aws import BATCH as MAX_BATCH
from cloudqueues.quotas.aws import BATCH_AT_ONCE as MAX_UNWINDOWED_BATCH
from cloudqueues.quotas.aws import BATCH_OF_FIFO as MAX_FIFO_BATCH
from cloudqueues.quotas.aws import CONCURRENCY as MAX_CONCURRENCY
from cloudqueues.quotas.aws import FUNCTION_MEGABYTES as MAX_MEMORY
from cloudqueues.quotas.aws import FUNCTION_SECONDS, WINDOW_SECONDS
from cloudqueues.quotas.aws import LEAST_CONCURRENCY as MIN_CONCURRENCY
from cloudqueues.quotas.aws import LEAST_FUNCTION_MEGABYTES as MIN_MEMORY
from cloudqueues.sqs_lambda.filters import Filters

MAX_WINDOW = timedelta(seconds=WINDOW_SECONDS)
MIN_WINDOW_OF_LARGE_BATCHES = timedelta(seconds=1)
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html

MAX_TIMEOUT = timedelta(seconds=FUNCTION_SECONDS)

_HANDLER = re.compile(r"[^\s.]+(\.[^\s.]+)+")


class Options(TypedDict, total=False):
    """Options of SqsLambda."""

    endpoint_url: str
    """Endpoint of SQS; by default that of the queue's URL."""
    batch_size: int
    """Largest number of messages in an invocation: 1 to 10,000, for a FIFO queue 1 to 10; 10 by default."""
    window: Seconds
    """Time for which a batch is gathered, from its first message on: 0, the default, to 300 s; for a FIFO queue 0."""
    timeout: Seconds
    """Longest run of an invocation: up to 1,800 s, by default 30. AWS takes whole seconds; fractions keep tests short."""
    memory: int
    """Memory in MB, by default 128. The function is told of it, and it is not enforced."""
    maximum_concurrency: int | None
    """Largest number of concurrent invocations: 2 to 1000."""
    provisioned: int
    """Environments that are started beforehand, as by provisioned concurrency; by default 0."""
    report_failures: bool
    """ReportBatchItemFailures of the mapping: True, the default, to read `batchItemFailures` in the function's response."""
    filters: Sequence[str | Mapping[str, Any]]
    """Patterns of its FilterCriteria, as JSON or as dicts: what matches none of them is deleted unseen."""
    environ: Mapping[str, str]
    """Variables of the function, which inherits only those that Python needs to start."""
    cwd: str | Path
    """Folder of the function, from which its handler is imported; by default the current one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings. Raises ConfigError for those that AWS refuses when the mapping or the function is created."""

    queue_url: str
    handler: str
    endpoint_url: str
    region: str
    batch_size: int
    window: timedelta
    timeout: timedelta
    memory: int
    maximum_concurrency: int | None
    provisioned: int
    report_failures: bool
    filters: Filters
    environ: Mapping[str, str] = field(repr=False)  # it may hold what is not for a log
    cwd: Path

    def __post_init__(self) -> None:
        if not _HANDLER.fullmatch(self.handler):
            raise ConfigError(f"handler={self.handler!r} is not of the form 'module.function'")
        if not self.cwd.is_dir():
            raise ConfigError(f"cwd={str(self.cwd)!r} is no folder")
        _within("memory", self.memory, MIN_MEMORY, MAX_MEMORY)
        if self.maximum_concurrency is not None:
            _within("maximum_concurrency", self.maximum_concurrency, MIN_CONCURRENCY, MAX_CONCURRENCY)
        _within("provisioned", self.provisioned, 0, self.concurrency)
        if not ZERO < self.timeout <= MAX_TIMEOUT:
            raise ConfigError(
                f"timeout={self.timeout.total_seconds():g}: more than 0 and at most {FUNCTION_SECONDS} seconds"
            )
        self._check_batching()

    def _check_batching(self) -> None:
        _within("batch_size", self.batch_size, 1, MAX_FIFO_BATCH if self.fifo else MAX_BATCH)
        if self.window > MAX_WINDOW:
            raise ConfigError(f"window={self.window.total_seconds():g}: at most {WINDOW_SECONDS} seconds")
        if self.fifo and self.window:
            raise ConfigError("window: a FIFO queue takes none")
        if self.batch_size > MAX_UNWINDOWED_BATCH and self.window < MIN_WINDOW_OF_LARGE_BATCHES:
            raise ConfigError(f"batch_size={self.batch_size}: more than 10 takes a window of at least 1 second")

    @property
    def fifo(self) -> bool:
        return self.queue_url.endswith(".fifo")

    @property
    def function_name(self) -> str:
        return re.sub(r"[^A-Za-z0-9_-]", "-", self.handler)[-64:]

    @property
    def concurrency(self) -> int:
        """Largest number of function processes. AWS goes up to 1,250 by default, which is too much for a laptop."""
        return self.maximum_concurrency or max(5, 2 * (os.cpu_count() or 1))


def settings(queue_url: str, handler: str, region: str, options: Options) -> Settings:
    """Return the settings, with defaults for the options that were left out. Raises ConfigError, also for an unknown option."""
    _check_names(options)
    return Settings(
        queue_url=queue_url,
        handler=handler,
        endpoint_url=_endpoint(queue_url, options.get("endpoint_url")),
        region=region,
        batch_size=options.get("batch_size", 10),
        window=seconds(options.get("window", 0), "window="),
        timeout=seconds(options.get("timeout", 30), "timeout="),
        memory=options.get("memory", MIN_MEMORY),
        maximum_concurrency=options.get("maximum_concurrency"),
        provisioned=options.get("provisioned", 0),
        report_failures=options.get("report_failures", True),
        filters=Filters(options.get("filters", ())),
        environ=dict(options.get("environ", {})),
        cwd=Path(options.get("cwd", ".")).resolve(),
    )


def _check_names(options: Mapping[str, Any]) -> None:
    """Raise ConfigError for an option that does not exist, with the nearest name: a mistyped option must not be ignored."""
    known_names = [*Options.__annotations__, "queue_url", "handler", "region", "on_line", "on_invocation", "faults"]
    for name in options:
        if name not in known_names:
            nearest = difflib.get_close_matches(name, known_names, 1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(sorted(known_names))}"
            raise ConfigError(f"SqsLambda() takes no {name}=: {hint}")


def _endpoint(queue_url: str, endpoint_url: str | None) -> str:
    """Return the endpoint. Raises ConfigError for AWS itself: an emulator has no credentials."""
    parts = urlsplit(queue_url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ConfigError(f"queue_url={queue_url!r} is not the URL of an SQS queue")
    endpoint = endpoint_url or f"{parts.scheme}://{parts.netloc}"
    host = (urlsplit(endpoint).hostname or "").split(".")
    if {"amazonaws", "amazon"} & set(host):
        raise ConfigError(f"{endpoint} is AWS itself: give endpoint_url= of an SQS that runs on this machine")
    return endpoint


def _within(name: str, value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not least <= value <= most:
        raise ConfigError(f"{name}={value!r}: between {least} and {most}")
