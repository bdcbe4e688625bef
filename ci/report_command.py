#!/usr/bin/env python3
"""Renders reports of a campaign again, from the history of its folder; lists campaigns; asks queries.

Every number in a report comes from DIR/history.db, which is SQLite: reports/history.sql says what its
columns mean, reports/README.md has further queries.
"""
import argparse
import csv
import errno
import io
import json
import os
import sqlite3
import sys
import tempfile
import traceback

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import run_folder, workbench  # noqa: E402
from ci.command_line import Parser  # noqa: E402
from ci.workbench import CannotRun, shown  # noqa: E402
from reports import (files, history, html_page, junit, markdown, read_history, rebuild,  # noqa: E402
                     results, sarif, terminal, text)

EPILOG = """\
examples:
  ci/report                                      the last campaign of out/overnight, as text
  ci/report DIR --format html --output report.html
  ci/report DIR --campaign 3f2a --format sarif   another one, by the beginning of its UUID
  ci/report DIR --format all                     all of them, into the campaign's own folder
  ci/report DIR --list
  ci/report DIR --query "SELECT strategy, sum(executions) FROM sessions JOIN jobs ON jobs.id = job
      GROUP BY strategy"
  ci/report DIR --query "SELECT status, strategy, property, file, line FROM findings
      JOIN campaign_findings ON finding = id WHERE campaign = (SELECT max(id) FROM campaigns)"
  ci/report DIR --format csv --query "SELECT * FROM benchmarks" --output benchmarks.csv

exit codes: of a report those of its campaign: 0 clean, 1 new or flaky finding, 2 could not run, 3 only
known findings; of --list, --query and --rebuild: 0. In each case 2 if it cannot be done
"""

RENDERERS = {
    "text": lambda found: terminal.render(found) + "\n",
    "markdown": markdown.render,
    "json": files.render_json,
    "junit": junit.render,
    "sarif": sarif.render,
}

# Of a report; of --list and --query.
FORMATS = (*RENDERERS, "html", "all")
TABLES = ("text", "csv", "json")

# Characters of a cell in a table for people.
_WIDEST = 100


def parse_options(arguments):
    parser = Parser(prog="ci/report", description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", metavar="DIR",
                        help="folder of the campaigns (out/overnight in the checkout)")
    parser.add_argument("--campaign", default="last", metavar="ID",
                        help="its number, UUID or the beginning of that; `last` (%(default)s)")
    parser.add_argument("--format", choices=list(dict.fromkeys(FORMATS + TABLES)), default="text",
                        help="%(choices)s (%(default)s); csv is for --list and --query")
    parser.add_argument("--output", metavar="F", help="write to this file instead of printing")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list the campaigns instead")
    what.add_argument("--query", metavar="SQL", help="ask the history instead; nothing is changed")
    what.add_argument("--rebuild", action="store_true",
                      help="set a damaged history aside, and rebuild it from the files in DIR")
    options = parser.parse_args(arguments)
    table = options.list or options.query is not None
    if not options.rebuild and options.format not in (TABLES if table else FORMATS):
        parser.error("--format %s is not for this; it is %s" % (
            options.format, ", ".join(TABLES if table else FORMATS)))
    if options.format == "all" and options.output:
        parser.error("--format all writes into DIR/campaigns/: leave --output out")
    if not options.folder:
        options.folder = os.path.join(workbench.ROOT, "out", "overnight")
    return options


def _open(folder):
    path = os.path.join(folder, history.NAME)
    if not os.path.exists(path):
        raise CannotRun("%s: no such history: ci/overnight and ci/fuzz make one; name their --out DIR"
                        % shown(path))
    try:
        return history.History(path, read_only=True)
    except history.Damaged as error:
        raise CannotRun("%s; `ci/report %s --rebuild` keeps it aside and rebuilds it from the files"
                        % (error, shown(folder))) from error
    except history.HistoryError as error:
        raise CannotRun(str(error)) from error


def _campaign(db, wanted):
    campaign = read_history.campaign_of(db, wanted)
    if campaign is None:
        there = [row["uuid"] for row in db.query("SELECT uuid FROM campaigns ORDER BY id")]
        raise CannotRun("no campaign, or not one alone, is called '%s'; %s" % (
            text.one_line(wanted), "--list shows all %d" % len(there) if there else
            "the history has none yet"))
    return campaign


# ## Tables

def _as_text(headings, rows):
    cells = [list(headings)] + [["" if value is None else text.one_line(str(value), _WIDEST)
                                 for value in row] for row in rows]
    numeric = [bool(rows) and all(isinstance(row[i], (int, float, type(None))) for row in rows)
               for i in range(len(headings))]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    lines = ["  ".join(cell.rjust(width) if right else cell.ljust(width)
                       for cell, width, right in zip(row, widths, numeric)).rstrip()
             for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines) + "\n"


def _as_csv(headings, rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(rows)
    return out.getvalue()


def _as_json(headings, rows):
    return json.dumps([dict(zip(headings, row)) for row in rows], indent=2) + "\n"


def _table(kind, headings, rows):
    return {"text": _as_text, "csv": _as_csv, "json": _as_json}[kind](headings, rows)


def _list(db, kind):
    headings = ("id", "uuid", "command", "started", "time", "state", "executions", "verdict",
                "findings")
    ids = {row["uuid"]: row["id"] for row in db.query("SELECT id, uuid FROM campaigns")}
    told = read_history.former(db, max(ids.values(), default=0) + 1)
    rows = [(ids[row.uuid], row.uuid, row.command, row.started, text.duration(row.seconds), row.state,
             row.executions, row.verdict, ", ".join(
                 "%d %s" % (row.findings[status], status) for status in results.STATUSES
                 if row.findings.get(status))) for row in told]
    return _table(kind, headings, rows)


def _query(db, sql, kind):
    try:
        cursor = db.write(sql)
        if cursor.description is None:
            raise CannotRun("--query: that asks for nothing; begin with SELECT")
        return _table(kind, [column[0] for column in cursor.description],
                      [tuple(row) for row in cursor])
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise CannotRun("--query: %s; reports/history.sql has the tables" % error) from error
    except OSError as error:
        if error.errno == errno.EROFS:
            raise CannotRun("--query only reads: begin with SELECT") from error
        raise CannotRun("--query: %s" % error.strerror) from error


# ## Reports

def _html(found):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.html")
        problem = html_page.write(found, path)
        if problem:
            raise CannotRun(problem)
        with open(path, encoding="utf-8") as file:
            return file.read()


def _all(found, folder):
    """Into the campaign's own folder; beside the history too if it is the last one."""
    folders = [os.path.join(folder, "campaigns", found.campaign)]
    if not found.history.one("SELECT id FROM campaigns WHERE id > ?", found.campaign_id):
        folders.append(folder)
    paths = files.write_all(found, *folders)
    page = _html(found)
    for each in folders:
        files.write_whole(os.path.join(each, "report.html"), page)
    paths.append(os.path.join(folders[0], "report.html"))
    return "".join(shown(path) + "\n" for path in paths)


def _report(db, options):
    found = results.Results.from_history(db, _campaign(db, options.campaign), shown(options.folder))
    if options.format == "all":
        return _all(found, options.folder), found.exit_code
    render = _html if options.format == "html" else RENDERERS[options.format]
    return render(found), found.exit_code


def _rebuild(folder):
    """With the folder's lock: a campaign that runs there repairs its history by itself."""
    if not os.path.isdir(folder):
        raise CannotRun("%s is no folder" % shown(folder))
    claimed = run_folder.RunFolder(folder, space=0, folders=())
    try:
        said = []
        db = rebuild.open_folder(folder, said.append)
        number = db.one("SELECT count(*) FROM campaigns")[0]
        db.close()
    finally:
        claimed.release()
    return "".join(line + "\n" for line in said) + "%s: %s\n" % (
        shown(os.path.join(folder, history.NAME)), text.count(number, "campaign"))


def _emit(data, path):
    if isinstance(data, str):
        data = data.encode("utf-8", "backslashreplace")
    if path:
        try:
            files.write_whole(path, data)
        except OSError as error:
            raise CannotRun("%s: %s: name another file with --output" % (
                shown(path), error.strerror or error)) from error
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def run(options):
    """Returns the exit code."""
    if options.rebuild:
        _emit(_rebuild(options.folder), options.output)
        return 0
    db = _open(options.folder)
    try:
        if options.list:
            _emit(_list(db, options.format), options.output)
            return 0
        if options.query is not None:
            _emit(_query(db, options.query, options.format), options.output)
            return 0
        data, code = _report(db, options)
        _emit(data, options.output)
        return code
    finally:
        db.close()


def main(arguments=None):
    options = parse_options(arguments)
    try:
        return run(options)
    except BrokenPipeError:
        # Whoever read it has seen enough; the interpreter's own flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except (CannotRun, history.HistoryError) as error:
        print("ci/report: %s" % error, file=sys.stderr)
    except OSError as error:
        print("ci/report: %s: %s" % (shown(str(error.filename or options.folder)),
                                     error.strerror or error), file=sys.stderr)
    except Exception:    # pylint: disable=broad-except
        # Python's own exit code would say that there is a finding.
        traceback.print_exc()
    return results.EXIT_CODES[results.COULD_NOT_RUN]


if __name__ == "__main__":
    sys.exit(main())
