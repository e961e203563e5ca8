"""`python -m peeklock.cli`."""

import sys

from peeklock.cli import main

if __name__ == "__main__":
    sys.exit(main())
