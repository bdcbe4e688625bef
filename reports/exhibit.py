"""What reports show of the statistics: a picture, and always the same numbers as a table beside it, so
that nothing depends on the picture. Where there are too few data it says so, and has neither."""
import dataclasses
import typing

SECTIONS = ("growth", "saturation", "engines", "benchmarks", "trends")


@dataclasses.dataclass
class Exhibit:
    """All text is plain; `svg` alone is markup."""
    name: str                # letters, digits and -: unlike all others of a page
    section: str             # of SECTIONS
    title: str
    says: str                # what came out, or what is missing, in a sentence
    method: str = ""         # how it was reckoned, over what, after whom
    headings: tuple = ()
    rows: typing.List[tuple] = dataclasses.field(default_factory=list)  # of strings
    left: int = 1            # so many columns hold words, the others numbers
    svg: str = ""            # empty: too few data, or no matplotlib
    enough: bool = True
    figures: dict = dataclasses.field(default_factory=dict)  # for machines


def too_few(name, section, title, says, method=""):
    """An exhibit that only tells what is missing."""
    return Exhibit(name, section, title, "Too few data: " + says, method, enough=False)
