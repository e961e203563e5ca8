"""Running sample events through their handlers on this machine, without any service."""

from peeklock.replay.handlers import Handler, Project, load_handler, load_handlers, project_of
from peeklock.replay.run import ReplayOptions, Run, accept, difference, moment, replay, route
from peeklock.replay.samples import EXPECTED, ReplayError, Sample, platform_of, samples

__all__ = [
    "EXPECTED",
    "Handler",
    "Project",
    "ReplayError",
    "ReplayOptions",
    "Run",
    "Sample",
    "accept",
    "difference",
    "load_handler",
    "load_handlers",
    "moment",
    "platform_of",
    "project_of",
    "replay",
    "route",
    "samples",
]
