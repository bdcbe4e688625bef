"""The history of a campaign folder: an SQLite database, DIR/history.db, of the schema history.sql.

Whoever runs campaigns writes it; whoever reports reads it, and nothing else.
"""
import contextlib
import os
import sqlite3

NAME = "history.db"

# Of history.sql: grows with each change, and a step in _MIGRATIONS brings older databases here.
SCHEMA = 1

_SCHEMA_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "history.sql")


class History:
    """One connection. Rows are sqlite3.Row."""

    def __init__(self, path):
        self.path = path
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        # A commit is on the disk when it returns: not even a power cut takes it back.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        if self._db.execute("PRAGMA user_version").fetchone()[0] == 0:
            with open(_SCHEMA_FILE, encoding="utf-8") as f:
                self._db.executescript("BEGIN IMMEDIATE;\n%s\nPRAGMA user_version = %d;\nCOMMIT;" % (
                    f.read(), SCHEMA))

    @contextlib.contextmanager
    def transaction(self):
        """All that is written within it, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def query(self, sql, *values):
        """All rows."""
        return self._db.execute(sql, values).fetchall()

    def one(self, sql, *values):
        """The first row, or None."""
        return self._db.execute(sql, values).fetchone()

    def write(self, sql, *values):
        """Carries out a statement; returns its cursor."""
        return self._db.execute(sql, values)

    def insert(self, table, **columns):
        """Adds a row; returns its id."""
        return self._db.execute("INSERT INTO %s (%s) VALUES (%s)" % (
            table, ", ".join(columns), ", ".join("?" * len(columns))),
            tuple(columns.values())).lastrowid

    def upsert(self, table, keys, **columns):
        """Adds a row, or replaces the other columns of the one that has the same `keys`."""
        rest = [name for name in columns if name not in keys]
        self._db.execute("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (%s) DO UPDATE SET %s" % (
            table, ", ".join(columns), ", ".join("?" * len(columns)), ", ".join(keys),
            ", ".join("%s = excluded.%s" % (name, name) for name in rest)),
            tuple(columns.values()))

    def close(self):
        self._db.close()
