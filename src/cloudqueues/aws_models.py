"""Models of AWS' APIs, as botocore ships them. No file and no variable of this machine's user is read."""

from __future__ import annotations

import functools
from typing import Any

from cloudqueues.errors import missing


@functools.cache
def service(name: str) -> Any:
    """Return botocore's model of a service, such as `sqs`. Raises ConfigError where botocore is missing."""
    try:
        from botocore.loaders import Loader
        from botocore.model import ServiceModel
    except ImportError as exc:
        raise missing(exc) from exc
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model(name, "service-2"), name)


@functools.cache
def enumeration(name: str, shape: str) -> tuple[str, ...]:
    """Return the values of an enumeration of a service."""
    return tuple(service(name).shape_for(shape).enum)
