"""A handler module whose import fails."""

import not_installed  # noqa: F401 - that it is missing is the point
