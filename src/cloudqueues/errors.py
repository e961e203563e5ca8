"""Errors of the emulators."""

from __future__ import annotations

_EXTRAS = {
    "awslambdaric": "sqs-lambda",
    "azure": "functions",
    "boto3": "sqs-lambda",
    "flask": "sqs-lambda",
    "flask_cors": "sqs-lambda",
    "google": "cloudtasks",
    "grpc": "cloudtasks",
    "moto": "sqs-lambda",
    "pulumi": "pulumi",
}


class CloudqueuesError(Exception):
    """Base of the errors below."""


class ConfigError(CloudqueuesError):
    """An emulator cannot start, or cannot create an entity. The text says what to change."""


def missing(exc: ImportError) -> ConfigError:
    """Return the error for an SDK that is not installed, with the command that installs it."""
    package = (exc.name or "").partition(".")[0]
    extra = _EXTRAS.get(package)
    fix = f"pip install 'cloudqueues[{extra}]'" if extra else f"pip install {package}"
    return ConfigError(f"{exc.name or exc} is not installed: {fix}")
