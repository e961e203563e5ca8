"""Example of the table `[tool.peeklock.dev]`, for help and errors."""

from __future__ import annotations

from peeklock.platform_registry import PLATFORMS

EXAMPLE = "\n".join(
    [
        "  [tool.peeklock.dev]",
        *(f"  {name} = {platform.dev.example}" for name, platform in PLATFORMS.items() if platform.dev),
    ]
)
