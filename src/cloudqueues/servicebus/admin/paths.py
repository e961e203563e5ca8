"""Paths of the management API below a topic: subscriptions and their rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPath:
    """Path of a topic's subscriptions or of one of them, or of a subscription's rules or of one of them."""

    topic: str
    subscription: str | None = None
    """None for the list of subscriptions."""
    is_of_rules: bool = False
    """True for a path to rules, rather than to the subscription itself."""
    rule: str | None = None
    """None for the list of rules."""


def split(path: str) -> TopicPath | None:
    """Return the parts of a path below a topic, or None for the path of a queue or a topic.

    A queue's or a topic's name may have slashes, so the first segment called `subscriptions` ends it.
    """
    topic, is_below, rest = _cut(path, "subscriptions")
    if not is_below:
        return None
    if rest is None:
        return TopicPath(topic=topic)
    subscription, is_of_rules, rule = _cut(rest, "rules")
    return TopicPath(topic=topic, subscription=subscription, is_of_rules=is_of_rules, rule=rule)


def _cut(path: str, word: str) -> tuple[str, bool, str | None]:
    """Return what is before the first segment `word` that is not the first of all, whether there is one, and what is
    behind it."""
    segments = path.split("/")
    lower = [segment.lower() for segment in segments]
    if word not in lower[1:]:
        return path, False, None
    at = lower.index(word, 1)
    rest = "/".join(segments[at + 1 :]) if at + 1 < len(segments) else None
    return "/".join(segments[:at]), True, rest
