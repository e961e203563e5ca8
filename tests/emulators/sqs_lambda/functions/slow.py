"""A module that takes longer to load than Lambda waits."""

import importlib
import time

importlib.import_module("app").note(what="loading")
print("loading", flush=True)
time.sleep(60)
