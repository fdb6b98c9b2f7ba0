"""The package of the quote of the day: a source with options, and a command, for tests to install."""

from pathlib import Path

CODE = '''
import os
from pathlib import Path

from meteragent.plugins.option import Option
from meteragent.sample import Sample

if "QUOTES_IMPORTED" in os.environ:
    Path(os.environ["QUOTES_IMPORTED"]).touch()


class QuoteSource:
    """Meters the quote of the day.

    It is read from a file of quotes, one a line, or always the same.
    """

    meters = ("quote.length", "quote.words")
    options = (
        Option("static", default="An apple a day keeps the doctor away", help="The quote to tell."),
        Option("file", help="A file to read quotes from, one a line; it wins over static."),
        Option("longest", default=100, minimum=10, maximum=1000, unit="character",
               help="How much of a quote is told."),
        Option("style", default="plain", choices=("plain", "shouted"), help="How quotes are told."),
    )

    def get_samples(self, options, host):
        quote = told(options)
        yield Sample("quote.length", "gauge", "character", len(quote), resource_id=host)
        yield Sample("quote.words", "gauge", "word", len(quote.split()), resource_id=host)


class QuoteCommand:
    """Tell the quote of the day."""

    options = (Option("ending", default="", help="What is told behind a quote."),)

    def parser(self, parser):
        parser.add_argument("--shout", action="store_true", help="in capitals")

    def run(self, arguments, settings, options):
        quote = told(settings.options("pollster:quotes.quote"))
        print((quote.upper() if arguments.shout else quote) + options.ending)


def told(options):
    quote = Path(options["file"]).read_text().splitlines()[0] if options["file"] else options["static"]
    quote = quote[: options["longest"]]
    return quote.upper() if options["style"] == "shouted" else quote
'''
ENTRY_POINTS = """
[meteragent.poll.quotes]
quote = quotetap:QuoteSource

[meteragent.cli]
quote = quotetap:QuoteCommand
"""
LABEL = "pollster:quotes.quote"


def install(folder: Path, code: str = CODE, entry_points: str = ENTRY_POINTS) -> Path:
    """Install it into a folder, as pip does."""
    metadata = folder / "meteragent_quotes-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: meteragent-quotes\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    (folder / "quotetap.py").write_text(code)
    return folder
