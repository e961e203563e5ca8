"""The soak's HTTP target."""

from business import copies, handle, options, timed
from google.cloud import tasks_v2  # noqa: F401 - takes a second: once, before the workers fork, and not in each of them

from peeklock import cloudtasks

handle_http = timed(cloudtasks.bind(handle, **options(), **copies()))
