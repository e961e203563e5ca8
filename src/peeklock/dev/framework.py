"""functions-framework, in a process that ends with the one that started it: `python -P framework.py --target ...`.

It takes the arguments of the command `functions-framework`. It is run by its path and imports nothing of peeklock, since the
function may have a peeklock of its own, in a bundle, which has no `dev`.
"""

from __future__ import annotations

import os
import signal
import threading


def end_with_parent() -> None:
    """End this process when standard input closes: the parent holds the other end, and has ended, perhaps killed."""
    while os.read(0, 1024):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    from functions_framework import _cli

    threading.Thread(target=end_with_parent, name="peeklock-dev-parent", daemon=True).start()
    _cli._cli()  # noqa: SLF001 - the command itself, by the name of its entry point


if __name__ == "__main__":
    main()
