"""The soak's HTTP target."""

from business import copies, handle, options

from peeklock import cloudtasks

handle_http = cloudtasks.bind(handle, **options(), **copies())
