"""The soak's function app."""

import os
from collections.abc import Callable
from typing import Any

import azure.functions as func
from business import copies, handle, options, timed

from peeklock import servicebus

app = func.FunctionApp()


class Timed:
    """The app, to which the entry points go by way of `timed`."""

    def service_bus_queue_trigger(self, **trigger: Any) -> Callable[..., Any]:
        register: Callable[..., Any] = app.service_bus_queue_trigger(**trigger)
        return lambda entry: register(timed(entry))


if os.environ.get("SOAK_FIFO") == "1":
    servicebus.bind(handle, app=Timed(), sessions=True, **options())
else:
    servicebus.bind(handle, app=Timed(), **options(), **copies())
