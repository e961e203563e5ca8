"""The soak's function app."""

import os

import azure.functions as func
from business import copies, handle, options

from peeklock import servicebus

app = func.FunctionApp()

if os.environ.get("SOAK_FIFO") == "1":
    servicebus.bind(handle, app=app, sessions=True, **options())
else:
    servicebus.bind(handle, app=app, **options(), **copies())
