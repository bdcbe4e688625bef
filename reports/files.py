"""Writes the reports into a folder, each complete or not at all."""
import json
import math
import os
import re

from reports import junit, markdown, sarif


_UNFINISHED = re.compile(r".+\.\d+\.tmp")


def is_unfinished(name):
    """Whether write_whole made a file of this name and was cut off."""
    return bool(_UNFINISHED.fullmatch(name))


def write_whole(path, data):
    """Replaces the file at `path`; whoever reads it sees the old or the new one, never a part."""
    if isinstance(data, str):
        data = data.encode("utf-8", "backslashreplace")
    write_parts(path, (data,))


def write_parts(path, parts):
    """The same with data that comes in pieces of bytes."""
    temporary = "%s.%d.tmp" % (path, os.getpid())
    try:
        with open(temporary, "wb") as f:
            for part in parts:
                f.write(part)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise


def sync_folder(path):
    """Has what was created, renamed and deleted in a folder reach the disk."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def render_json(results):
    return json.dumps(_finite(results.to_dict()), indent=2, sort_keys=False, allow_nan=False) + "\n"


def _finite(value):
    """Without infinities, which JSON has not, and SQLite has."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(value, path):
    write_whole(path, json.dumps(value, indent=1, sort_keys=False) + "\n")


# The reports of a campaign: name of the file -> what renders it.
REPORTS = {
    "report.md": markdown.render,
    "report.json": render_json,
    "report.xml": junit.render,
    "report.sarif": sarif.render,
}


def write_all(results, *folders):
    """Writes report.md, report.json, report.xml and report.sarif into each folder; returns their paths
    in the first. Each is rendered before any is written."""
    documents = {name: render(results) for name, render in REPORTS.items()}
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
        for name, data in documents.items():
            write_whole(os.path.join(folder, name), data)
    return [os.path.join(folders[0], name) for name in documents]
