"""Writes the reports into a folder, each complete or not at all."""
import json
import os

from reports import junit, markdown


def write_whole(path, data):
    """Replaces the file at `path`; whoever reads it sees the old or the new one, never a part."""
    if isinstance(data, str):
        data = data.encode("utf-8", "backslashreplace")
    temporary = "%s.%d.tmp" % (path, os.getpid())
    try:
        with open(temporary, "wb") as f:
            f.write(data)
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
    return json.dumps(results.to_dict(), indent=2, sort_keys=False) + "\n"


def write_json(value, path):
    write_whole(path, json.dumps(value, indent=1, sort_keys=False) + "\n")


def write_all(results, folder):
    """Writes report.md, report.json and report.xml; returns their paths."""
    paths = []
    for name, data in (("report.md", markdown.render(results)),
                       ("report.json", render_json(results)),
                       ("report.xml", junit.render(results))):
        path = os.path.join(folder, name)
        write_whole(path, data)
        paths.append(path)
    return paths
