"""`python -m meteragent`; apart, because that is where Python looks."""

import sys

from meteragent.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
