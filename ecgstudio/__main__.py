"""Runs the command line as `python -m ecgstudio`."""

import sys

from ecgstudio.cli import main

if __name__ == "__main__":
    sys.exit(main())
