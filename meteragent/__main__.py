"""The program's entry, as `meteragent` and as `python -m meteragent`; the latter is looked for here."""

import sys

from meteragent.cli import interrupt


def main() -> int:
    """Run the program; its exit code."""
    interrupt.end_at_once()
    from meteragent.cli import app  # takes a tenth of a second, in which a person may think again

    return app.main()


if __name__ == "__main__":
    sys.exit(main())
