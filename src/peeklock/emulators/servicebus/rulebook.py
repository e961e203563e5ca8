"""The rules of a subscription."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str


EVERYTHING = Rule(name="$Default")
