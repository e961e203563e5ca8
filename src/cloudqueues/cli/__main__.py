"""`python -m cloudqueues.cli`: the command `cloudqueues` where its script is not on PATH."""

import sys

from cloudqueues.cli import main

if __name__ == "__main__":
    sys.exit(main())
