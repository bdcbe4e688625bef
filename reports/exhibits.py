#!/usr/bin/env python3
"""All that the statistics say of a campaign: exhibits.py DIR/history.db CAMPAIGN [--no-pictures]

Prints them as a JSON list. It is a program as well, because numpy, scipy and matplotlib are Debian's,
and so is the Python that has them, which need not be the one that reports (ci/plotting.py).
"""
import dataclasses
import importlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports.exhibit import Exhibit, too_few  # noqa: E402

# In the order of the page, with the section that each begins.
_MODULES = (("growth", "growth"), ("species", "saturation"), ("engines_compared", "engines"),
            ("critical_difference", "engines"), ("kill_survival", "engines"),
            ("speed_memory", "benchmarks"), ("trends", "trends"),
            ("benchmark_history", "trends"))

_CURE = "numpy is not installed for this Python (ci/setup --bench installs Debian's python3-scipy)."


def collect(history, campaign, pictures=True):
    """Exhibits in the order of their sections; those with too few data say so. A campaign that measured
    nothing has them as well."""
    found = []
    for name, section in _MODULES:
        try:
            module = importlib.import_module("reports." + name)
        except ImportError:
            found.append(too_few(name.replace("_", "-"), section, "Statistics", _CURE))
            continue
        found += module.exhibits(history, campaign, pictures)
    return found


def to_json(exhibits):
    return json.dumps([dataclasses.asdict(exhibit) for exhibit in exhibits], sort_keys=True)


def from_json(text):
    found = [Exhibit(**fields) for fields in json.loads(text)]
    for exhibit in found:
        exhibit.headings = tuple(exhibit.headings)
        exhibit.rows = [tuple(row) for row in exhibit.rows]
    return found


def main(arguments):
    from reports.history import History
    if len(arguments) not in (2, 3):
        sys.exit(__doc__)
    history = History(arguments[0])
    print(to_json(collect(history, int(arguments[1]), "--no-pictures" not in arguments)))
    history.close()


if __name__ == "__main__":
    main(sys.argv[1:])
