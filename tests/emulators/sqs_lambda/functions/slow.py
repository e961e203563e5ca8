"""A module that takes longer to load than Lambda waits."""

import time

time.sleep(60)
