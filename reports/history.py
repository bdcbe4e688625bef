"""The history of a campaign folder: an SQLite database, DIR/history.db, of the schema history.sql.

Whoever runs campaigns writes it; whoever reports reads it, and nothing else. A `History` may be used
by several threads: each statement, and each transaction as a whole, has it for itself.
"""
import contextlib
import errno
import functools
import os
import sqlite3
import threading

NAME = "history.db"

# Of history.sql: grows with each change, and a step in _MIGRATIONS brings older databases here.
SCHEMA = 5

_SCHEMA_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "history.sql")

# Version -> what makes it the next one.
_MIGRATIONS = {
    1: """
ALTER TABLE campaigns ADD COLUMN checkpoint INTEGER NOT NULL DEFAULT 0;
CREATE TABLE properties (
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  property TEXT NOT NULL, position INTEGER NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY (campaign, property)
) WITHOUT ROWID;
CREATE TABLE strategies (
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  strategy TEXT NOT NULL, position INTEGER NOT NULL, summary TEXT NOT NULL, traits TEXT NOT NULL,
  PRIMARY KEY (campaign, strategy)
) WITHOUT ROWID;
CREATE TABLE applicable (
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  strategy TEXT NOT NULL, property TEXT NOT NULL,
  PRIMARY KEY (campaign, strategy, property)
) WITHOUT ROWID;
""",
    2: "ALTER TABLE findings ADD COLUMN guilty TEXT NOT NULL DEFAULT '';",
    3: "ALTER TABLE strategies ADD COLUMN file TEXT NOT NULL DEFAULT '';",
    4: """
CREATE TABLE footprints (
  campaign INTEGER NOT NULL REFERENCES campaigns ON DELETE CASCADE,
  subject TEXT NOT NULL,
  kind TEXT NOT NULL,
  world TEXT NOT NULL,
  operation TEXT NOT NULL,
  metric TEXT NOT NULL,
  value INTEGER NOT NULL,
  calls INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (campaign, subject, world, operation, metric)
) WITHOUT ROWID;
""",
}

# Seconds to wait for another process that writes.
_PATIENCE = 30

# So few free bytes that a failed write is due to them.
_FULL = 1 << 20


class HistoryError(Exception):
    """One line that says what is wrong with a history, and the cure."""


class Damaged(HistoryError):
    """What is in the file is no sound database; rebuild.open_folder repairs that."""


class Newer(HistoryError):
    """A newer Assay wrote it."""


class History:
    """One connection. Rows are sqlite3.Row.

    OSError: the disk is full, or the file cannot be read or written. Damaged; Newer. Mistakes in SQL
    stay sqlite3.Error.
    """

    def __init__(self, path, read_only=False):
        """Makes the database if there is none, unless `read_only`, and brings an older one up to this
        schema (of one that is only read: a copy in memory)."""
        self.path = path
        self.read_only = read_only
        self._lock = threading.RLock()
        self._depth = 0
        self._db = None
        try:
            with self._errors():
                self._db = _connect_to_read(path) if read_only else _connect(path)
                self._db.row_factory = sqlite3.Row
                self._db.text_factory = _text
                self._prepare()
        except BaseException:
            if self._db is not None:
                self._db.close()
            raise

    def _prepare(self):
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise Newer("%s is of schema %d, from a newer version of Assay; this one knows up to %d: "
                        "use the newer one, or another folder" % (self.path, version, SCHEMA))
        if not self.read_only:
            self._db.execute("PRAGMA journal_mode = WAL")
            # A commit is on the disk when it returns: not even a power cut takes it back.
            self._db.execute("PRAGMA synchronous = FULL")
        said = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            raise Damaged("%s is damaged: %s" % (self.path, " ".join(said.split())))
        if version < 0:
            raise Damaged("%s is damaged: it says that its schema is %d" % (self.path, version))
        if version < SCHEMA:
            self._migrate()
        self._complete()
        self._db.execute("PRAGMA foreign_keys = ON")

    def _migrate(self):
        if self.read_only:
            copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            copy.row_factory = sqlite3.Row
            copy.text_factory = _text
            self._db.backup(copy)
            self._db.close()
            self._db = copy
        with self.transaction():
            # Another process may have been sooner.
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise Damaged("%s is a database, but no history of Assay" % self.path)
                if self.read_only:
                    raise Damaged("%s is empty" % self.path)
                with open(_SCHEMA_FILE, encoding="utf-8") as f:
                    self._script(f.read())
            else:
                for step in range(version, SCHEMA):
                    self._script(_MIGRATIONS[step])
            self._db.execute("PRAGMA user_version = %d" % SCHEMA)

    def _complete(self):
        """Pages may be sound, and a table not there: to whoever reads, it would be empty or an error."""
        found = _columns(self._db)
        for table, column in sorted(_wanted()):
            if (table, column) not in found:
                raise Damaged("%s is damaged: it has no column %s.%s" % (self.path, table, column))

    def _script(self, sql):
        """Several statements, within the transaction: executescript would end it."""
        statement = ""
        for line in sql.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                self._db.execute(statement)
                statement = ""

    @contextlib.contextmanager
    def _errors(self):
        """Errors as the callers of files know them, which say what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise _explained(error, self.path) or error from error

    @contextlib.contextmanager
    def transaction(self):
        """All that is written within it, or nothing; one within another is part of that."""
        with self._within("BEGIN IMMEDIATE"):
            yield

    @contextlib.contextmanager
    def snapshot(self):
        """What is read within it is as of one moment, whatever other processes write."""
        with self._within("BEGIN"):
            yield

    @contextlib.contextmanager
    def _within(self, begin):
        with self._lock:
            if self._depth:
                yield
                return
            with self._errors():
                self._db.execute(begin)
            self._depth = 1
            try:
                yield
                with self._errors():
                    self._db.execute("COMMIT")
            except BaseException:
                # Some errors, such as a full disk, have rolled it back by themselves.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    def query(self, sql, *values):
        """All rows."""
        with self._lock, self._errors():
            return self._db.execute(sql, values).fetchall()

    def one(self, sql, *values):
        """The first row, or None."""
        with self._lock, self._errors():
            return self._db.execute(sql, values).fetchone()

    def write(self, sql, *values):
        """Carries out a statement; returns its cursor."""
        with self._lock, self._errors():
            return self._db.execute(sql, values)

    def write_many(self, sql, rows):
        """Carries out a statement for each of the rows."""
        with self._lock, self._errors():
            self._db.executemany(sql, rows)

    def insert(self, table, **columns):
        """Adds a row; returns its id."""
        return self.write("INSERT INTO %s (%s) VALUES (%s)" % (
            table, ", ".join(columns), ", ".join("?" * len(columns))),
            *columns.values()).lastrowid

    def upsert(self, table, keys, **columns):
        """Adds a row, or replaces the other columns of the one that has the same `keys`."""
        rest = [name for name in columns if name not in keys]
        self.write("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (%s) DO %s" % (
            table, ", ".join(columns), ", ".join("?" * len(columns)), ", ".join(keys),
            "UPDATE SET " + ", ".join("%s = excluded.%s" % (name, name) for name in rest)
            if rest else "NOTHING"), *columns.values())

    def close(self):
        with self._lock:
            self._db.close()


def _columns(db):
    return {tuple(row) for row in db.execute(
        "SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c "
        "WHERE m.type = 'table'")}


@functools.lru_cache(maxsize=None)
def _wanted():
    """(table, column) of the schema."""
    db = sqlite3.connect(":memory:")
    with open(_SCHEMA_FILE, encoding="utf-8") as f:
        db.executescript(f.read())
    found = _columns(db)
    db.close()
    return found


def _text(data):
    """What is no UTF-8, as a file system may damage it unnoticed, costs its own bytes and no report."""
    return data.decode("utf-8", "replace")


def _connect(path):
    return sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)


def _connect_to_read(path):
    """Opens what is there, and changes nothing: not even the files beside it, where those need not
    be."""
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, "no such history", path)
    uri = "file:" + _quoted(os.path.abspath(path))
    db = sqlite3.connect(uri + "?mode=ro", uri=True, timeout=_PATIENCE, isolation_level=None,
                         check_same_thread=False)
    try:
        db.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError:
        db.close()
        wal = path + "-wal"
        if os.path.exists(wal) and os.path.getsize(wal):
            raise
        # On a medium that cannot be written, what lies there cannot change.
        db = sqlite3.connect(uri + "?mode=ro&immutable=1", uri=True, isolation_level=None,
                             check_same_thread=False)
    return db


def _quoted(path):
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _explained(error, path):
    """The exception to raise for one of SQLite, or None."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xff
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Damaged("%s is damaged: %s" % (path, error))
    number = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EROFS,
              sqlite3.SQLITE_CANTOPEN: errno.EACCES, sqlite3.SQLITE_IOERR: errno.EIO,
              sqlite3.SQLITE_BUSY: errno.EBUSY, sqlite3.SQLITE_PERM: errno.EACCES}.get(code)
    if number is None:
        return None
    folder = os.path.dirname(os.path.abspath(path))
    if number in (errno.EIO, errno.EACCES):
        # Where the index of the log does not fit, SQLite reports an I/O error, or no file.
        try:
            space = os.statvfs(folder)
            if space.f_bavail * space.f_frsize < _FULL:
                number = errno.ENOSPC
        except OSError:
            number = errno.ENOENT
    said = {errno.EBUSY: "another process has held the history for %d s" % _PATIENCE}.get(
        number, os.strerror(number))
    return OSError(number, "%s (%s)" % (said, error), path)
