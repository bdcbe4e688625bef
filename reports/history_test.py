#!/usr/bin/env python3
"""The history under what happens to databases: older and newer schemas, damage, full disks, threads."""
import errno
import glob
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import history, read_history, rebuild, record, results, sample_campaign  # noqa: E402

# Tables that schema 1 had not.
_ADDED = ("properties", "strategies", "applicable", "footprints")


def schema_of(db):
    """{table or index: its columns}."""
    found = {}
    for row in db.query("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"):
        # A column that was added is the last one.
        found[row["name"]] = sorted(tuple(column)[1:] for column in db.query(
            "SELECT * FROM pragma_table_info('%s')" % row["name"]))
    return found


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.path = os.path.join(self.folder, history.NAME)
        self.said = []

    def sample(self):
        """The sample's database, with the records of its campaigns."""
        db = sample_campaign.write(self.path, small=True)
        for row in db.query("SELECT id FROM campaigns"):
            record.checkpoint(db, row["id"], self.folder)
        return db

    def told(self, db, campaign):
        return results.Results.from_history(db, campaign, folder="x")

    def open(self):
        db = rebuild.open_folder(self.folder, self.said.append)
        self.addCleanup(db.close)
        return db

    def raw(self):
        return sqlite3.connect(self.path, isolation_level=None)


class SchemaTest(Case):
    def older(self):
        """A database of schema 1 with a campaign in it."""
        db = self.raw()
        with open(os.path.join(os.path.dirname(history.__file__), "history.sql"),
                  encoding="utf-8") as f:
            sql = f.read()
        for table in _ADDED:
            sql, count = re.subn(r"CREATE TABLE %s \(.*?^\)[^;]*;" % table, "", sql,
                                 flags=re.DOTALL | re.MULTILINE)
            self.assertEqual(1, count)
        for pattern, instead in ((r",( *-- the planted bug that was fuzzed\n) *checkpoint [^\n]*\n",
                                  r"\1"), (r"\n *guilty TEXT [^\n]*", "")):
            sql, count = re.subn(pattern, instead, sql)
            self.assertEqual(1, count)
        db.executescript(sql + "PRAGMA journal_mode = WAL; PRAGMA user_version = 1;")
        db.execute("INSERT INTO campaigns (uuid, command, started) VALUES ('u', 'fuzz', 't')")
        db.execute("INSERT INTO jobs (campaign, strategy, engine, sanitizer) "
                   "VALUES (1, 'bump', 'afl', 'none')")
        db.close()

    def test_an_older_schema_becomes_this_one_and_keeps_its_rows(self):
        self.older()
        migrated = history.History(self.path)
        fresh = history.History(self.path + "2")
        self.assertEqual(schema_of(fresh), schema_of(migrated))
        self.assertEqual(history.SCHEMA, migrated.one("PRAGMA user_version")[0])
        self.assertEqual(("u", 0), tuple(migrated.one("SELECT uuid, checkpoint FROM campaigns")))
        self.assertEqual("bump", migrated.one("SELECT strategy FROM jobs")[0])
        migrated.close()
        fresh.close()

    def test_an_older_one_that_is_only_read_stays_as_it_is(self):
        self.older()
        with open(self.path, "rb") as f:
            before = f.read()
        db = history.History(self.path, read_only=True)
        self.assertEqual(0, db.one("SELECT checkpoint FROM campaigns")[0])
        self.assertEqual(results.COULD_NOT_RUN, self.told(db, 1).verdict)
        db.close()
        with open(self.path, "rb") as f:
            self.assertEqual(before, f.read())

    def test_each_older_schema_has_its_step(self):
        self.assertEqual(list(range(1, history.SCHEMA)), sorted(history._MIGRATIONS))

    def test_a_migration_that_breaks_off_leaves_the_old_one(self):
        self.older()
        db = self.raw()
        db.execute("CREATE TABLE applicable (in_the_way INTEGER)")
        db.close()
        with self.assertRaises(sqlite3.Error):
            history.History(self.path)
        db = self.raw()
        self.assertEqual(1, db.execute("PRAGMA user_version").fetchone()[0])
        self.assertEqual([], db.execute("SELECT * FROM pragma_table_info('properties')").fetchall())
        db.close()

    def test_a_newer_one_is_refused_and_not_touched(self):
        history.History(self.path).close()
        db = self.raw()
        db.execute("PRAGMA user_version = %d" % (history.SCHEMA + 1))
        db.close()
        for attempt in (lambda: history.History(self.path), self.open,
                        lambda: history.History(self.path, read_only=True)):
            with self.assertRaises(history.Newer) as raised:
                attempt()
            self.assertIn("newer version of Assay", str(raised.exception))
        self.assertEqual([], glob.glob(self.path + ".damaged*"))

    def test_reading_makes_no_database(self):
        with self.assertRaises(FileNotFoundError):
            history.History(self.path, read_only=True)
        self.assertEqual([], os.listdir(self.folder))

    def test_a_database_of_somebody_else_is_not_taken_for_one(self):
        db = self.raw()
        db.execute("CREATE TABLE recipes (cake TEXT)")
        db.close()
        with self.assertRaises(history.Damaged) as raised:
            history.History(self.path)
        self.assertIn("no history of Assay", str(raised.exception))

    def test_a_reader_cannot_write(self):
        self.sample().close()
        db = history.History(self.path, read_only=True)
        with self.assertRaises(OSError) as raised:
            db.insert("campaigns", uuid="u", command="fuzz", started="t")
        self.assertEqual(errno.EROFS, raised.exception.errno)
        db.close()

    def test_it_is_read_while_another_writes(self):
        writer = self.sample()
        with writer.transaction():
            writer.write("DELETE FROM campaigns")
            reader = history.History(self.path, read_only=True)
            self.assertEqual(3, reader.one("SELECT count(*) FROM campaigns")[0])
            reader.close()
        writer.close()


class TransactionTest(Case):
    def campaigns(self, db):
        return [row["uuid"] for row in db.query("SELECT uuid FROM campaigns")]

    def add(self, db, uuid):
        return db.insert("campaigns", uuid=uuid, command="fuzz", started="t")

    def test_a_report_is_as_of_one_moment(self):
        """Another process writes while it is read."""
        db = self.sample()
        before = self.told(db, 3).to_dict()
        reader = history.History(self.path, read_only=True)

        def meanwhile(*arguments):
            with db.transaction():
                db.write("UPDATE sessions SET executions = 7")
                db.write("UPDATE exercised SET times = 7")
                db.write("DELETE FROM campaign_findings")
            return found(*arguments)
        found = read_history._findings
        with unittest.mock.patch.object(read_history, "_findings", meanwhile):
            self.assertEqual(before, self.told(reader, 3).to_dict())
        self.assertEqual([], self.told(reader, 3).findings)
        reader.close()
        db.close()

    def test_all_or_nothing_also_within_another(self):
        db = history.History(self.path)
        with self.assertRaises(ZeroDivisionError):
            with db.transaction():
                self.add(db, "a")
                with db.transaction():
                    self.add(db, "b")
                raise ZeroDivisionError
        self.assertEqual([], self.campaigns(db))
        with db.transaction():
            self.add(db, "a")
        self.assertEqual(["a"], self.campaigns(db))
        db.close()

    def test_threads_do_not_get_into_each_others_transactions(self):
        db = history.History(self.path)
        seen = []

        def work(name):
            for i in range(40):
                try:
                    with db.transaction():
                        before = len(self.campaigns(db))
                        self.add(db, "%s%d" % (name, i))
                        seen.append(len(self.campaigns(db)) - before)
                        if i % 4 == 0:
                            raise ZeroDivisionError
                except ZeroDivisionError:
                    pass
        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([1] * 120, seen)
        self.assertEqual(90, len(self.campaigns(db)))
        db.close()

    def test_upsert(self):
        db = history.History(self.path)
        campaign = self.add(db, "a")
        for state in ("begun", "done"):
            db.upsert("phases", ("campaign", "name"), campaign=campaign, name="fuzz", state=state)
        self.assertEqual([("fuzz", "done")], [tuple(row) for row in db.query(
            "SELECT name, state FROM phases")])
        keys = dict(campaign=campaign, strategy="bump", property="overlap")
        for _ in range(2):
            db.upsert("applicable", tuple(keys), **keys)
        self.assertEqual(1, len(db.query("SELECT * FROM applicable")))
        db.close()

    def test_a_full_disk_is_said_and_takes_nothing_with_it(self):
        db = history.History(self.path)
        self.add(db, "a")
        pages = db.one("PRAGMA page_count")[0]
        db.query("PRAGMA max_page_count = %d" % pages)
        with self.assertRaises(OSError) as raised:
            with db.transaction():
                for i in range(10000):
                    self.add(db, "b%d" % i)
        self.assertEqual(errno.ENOSPC, raised.exception.errno)
        self.assertEqual(self.path, raised.exception.filename)
        self.assertEqual(["a"], self.campaigns(db))
        db.query("PRAGMA max_page_count = 100000")
        self.add(db, "c")                       # with space again, it goes on
        self.assertEqual(["a", "c"], self.campaigns(db))
        db.close()

    def test_a_mistake_in_sql_stays_one(self):
        db = history.History(self.path)
        with self.assertRaises(sqlite3.OperationalError):
            db.query("SELECT nonsense FROM nowhere")
        with self.assertRaises(sqlite3.IntegrityError):
            db.insert("jobs", campaign=77, strategy="a", engine="b", sanitizer="c")
        db.close()


class RecordTest(Case):
    def test_loading_gives_the_same_results_once(self):
        db = self.sample()
        other = history.History(self.path + "2")
        for campaign in (2, 1, 3):
            document = json.loads(json.dumps(record.dump(db, campaign)))
            self.assertTrue(record.load(other, document))
            self.assertFalse(record.load(other, document))
        for campaign in (1, 2, 3):
            ours, theirs = self.told(db, campaign), self.told(other, campaign)
            ours.former = theirs.former = []
            self.assertEqual(ours.to_dict(), theirs.to_dict())
        self.assertEqual(record.dump(db, 3), record.dump(other, 3))
        self.assertEqual(5, other.one("SELECT count(*) FROM findings")[0])
        other.close()
        db.close()

    def test_ids_that_are_taken_are_given_anew(self):
        db = self.sample()
        other = history.History(self.path + "2")
        campaign = other.insert("campaigns", uuid="other", command="fuzz", started="t")
        other.insert("jobs", campaign=campaign, strategy="bump", engine="afl", sanitizer="none")
        other.insert("findings", strategy="x", property="y", signature="z", name="n", path="p",
                     stored="t")
        self.assertTrue(record.load(other, record.dump(db, 3)))
        loaded = other.one("SELECT id FROM campaigns WHERE uuid != 'other'")["id"]
        ours, theirs = self.told(db, 3), self.told(other, loaded)
        ours.former = theirs.former = []
        self.assertTrue(ours.footprints)
        for each in ours, theirs:            # which earlier campaigns measured
            each.footprints, each.footprints_from, each.footprints_note = [], "", ""
        for finding in ours.findings:
            finding.before, finding.known = "", False
        self.assertEqual(ours.to_dict(), theirs.to_dict())
        self.assertEqual([], other.query("PRAGMA foreign_key_check"))
        other.close()
        db.close()

    def test_what_is_written_is_what_was_dumped(self):
        db = self.sample()
        self.addCleanup(db.close)
        before, record._AT_ONCE = record._AT_ONCE, 7
        try:
            path = record.checkpoint(db, 3, self.folder)
        finally:
            record._AT_ONCE = before
        self.assertEqual(record.dump(db, 3), record.read(path))
        uuid = db.one("SELECT uuid FROM campaigns WHERE id = 3")[0]
        self.assertEqual((uuid, 2), record.peek(path))
        with open(path, "w", encoding="utf-8") as f:
            f.write("{}")
        self.assertIsNone(record.peek(path))

    def test_a_checkpoint_that_fails_harms_neither_the_database_nor_the_record(self):
        db = self.sample()
        path = record.checkpoint(db, 3, self.folder)
        with open(path, "rb") as f:
            before = f.read()
        with unittest.mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "full")):
            with self.assertRaises(OSError):
                record.checkpoint(db, 3, self.folder)
        with open(path, "rb") as f:
            self.assertEqual(before, f.read())
        self.assertEqual([record.NAME], os.listdir(os.path.dirname(path)))
        db.write("UPDATE campaigns SET stopped = 'later' WHERE id = 3")
        db.close()
        self.assertEqual("later", self.open().one("SELECT stopped FROM campaigns WHERE id = 3")[0])
        self.assertEqual([], self.said)

    def test_the_newer_of_two_wins(self):
        db = self.sample()
        old = record.dump(db, 1)
        db.write("UPDATE campaigns SET stopped = 'SIGTERM', checkpoint = 9 WHERE id = 1")
        new = record.dump(db, 1)
        self.assertFalse(record.load(db, old))
        other = history.History(self.path + "2")
        for document in (old, new, old):
            record.load(other, document)
        self.assertEqual(["SIGTERM"], [row[0] for row in other.query("SELECT stopped FROM campaigns")])
        self.assertEqual(record.dump(db, 1)["tables"]["samples"],
                         record.dump(other, 1)["tables"]["samples"])
        other.close()
        db.close()

    def test_every_table_is_in_it(self):
        db = history.History(self.path)
        tables = {row["name"] for row in db.query(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")}
        self.assertEqual(tables, set(record._TABLES))
        db.close()


class DamageTest(Case):
    """Whatever happened to the file: the results come back from the records."""

    def setUp(self):
        super().setUp()
        db = self.sample()
        self.before = [self.told(db, campaign).to_dict() for campaign in (1, 2, 3)]
        db.close()

    def recovered(self, aside=1):
        db = self.open()
        self.assertEqual(self.before, [self.told(db, i).to_dict() for i in (1, 2, 3)])
        self.assertEqual("ok", db.one("PRAGMA quick_check")[0])
        kept = [name for name in os.listdir(self.folder)
                if re.fullmatch(r"history\.db\.damaged-\d{8}T\d{6}Z", name)]
        self.assertEqual(aside, len(kept))
        said = "\n".join(self.said)
        if aside:
            self.assertIn("is damaged", said)
            self.assertIn(kept[0], said)
        self.assertEqual(3, said.count("recovered from its record of 2"), said)
        self.assertEqual(3, said.count("which has all of it"), said)
        db.close()
        self.said.clear()
        self.open().close()
        self.assertEqual([], self.said)         # sound from now on

    def test_garbage(self):
        with open(self.path, "wb") as f:
            f.write(bytes(range(256)) * 99)
        self.recovered()

    def test_torn_pages(self):
        size = os.path.getsize(self.path)
        with open(self.path, "r+b") as f:
            for page in range(2, size // 4096, 3):
                f.seek(page * 4096)
                f.write(b"\x5a" * 4096)
        self.recovered()

    def test_cut_off(self):
        os.truncate(self.path, os.path.getsize(self.path) // 3)
        self.recovered()

    def test_empty_or_gone(self):
        os.truncate(self.path, 0)
        self.recovered(aside=0)
        os.unlink(self.path)
        self.recovered(aside=0)

    def test_a_table_or_a_column_that_is_not_there(self):
        """Each page is sound: SQLite has nothing to say against it."""
        for change in ("DROP TABLE exercised", "ALTER TABLE jobs DROP COLUMN note",
                       "PRAGMA user_version = -3"):
            db = sqlite3.connect(self.path)
            db.execute(change)
            db.commit()
            db.close()
            with self.assertRaises(history.Damaged, msg=change):
                history.History(self.path, read_only=True)
            self.recovered()
            for name in os.listdir(self.folder):
                if ".damaged-" in name:
                    os.unlink(os.path.join(self.folder, name))

    def test_a_lost_log(self):
        db = history.History(self.path)
        db.write("PRAGMA wal_autocheckpoint = 0")
        shutil.copy(self.path, self.path + ".older")
        db.write("UPDATE campaigns SET ended = NULL, stopped = 'SIGTERM' WHERE id = 3")
        record.checkpoint(db, 3, self.folder)
        after = self.told(db, 3).to_dict()
        db.close()
        for name in glob.glob(self.path + "-*"):
            os.unlink(name)
        os.replace(self.path + ".older", self.path)
        db = self.open()
        self.assertEqual(after, self.told(db, 3).to_dict())
        self.assertEqual(1, len(self.said))
        self.assertIn("what came after that is lost", self.said[0])

    def test_what_is_not_recovered_is_said(self):
        records = sorted(glob.glob(os.path.join(self.folder, "campaigns", "*", record.NAME)))
        with open(records[0], "r+b") as f:
            f.truncate(1000)
        os.unlink(records[1])
        with open(self.path, "wb") as f:
            f.write(b"no database")
        db = self.open()
        self.assertEqual(1, db.one("SELECT count(*) FROM campaigns")[0])
        said = "\n".join(self.said)
        self.assertIn("not recovered: %s is damaged" % records[0], said)
        self.assertIn("no record of campaign " + os.path.basename(os.path.dirname(records[1])), said)

    def test_a_sound_database_misses_no_record(self):
        records = sorted(glob.glob(os.path.join(self.folder, "campaigns", "*", record.NAME)))
        os.unlink(records[0])
        os.truncate(records[1], 0)
        os.makedirs(os.path.join(self.folder, "campaigns", "somebody-else-s"))
        db = self.open()
        self.assertEqual(self.before[0], self.told(db, 1).to_dict())
        self.assertEqual([], self.said)

    def test_a_record_from_a_newer_version_is_left_alone(self):
        path = sorted(glob.glob(os.path.join(self.folder, "campaigns", "*", record.NAME)))[0]
        with open(path, encoding="utf-8") as f:
            document = json.load(f)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(dict(document, schema=history.SCHEMA + 1), f)
        os.unlink(self.path)
        self.open()
        self.assertIn("newer version", "\n".join(self.said))

    def finding(self, signature, **more):
        """The files of a finding that no record knows; returns its program's path."""
        folder = os.path.join(self.folder, "findings", "bump")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "overlap-%s-%s" % (signature, 40 * "a"))
        facts = {"schema": 1, "strategy": "bump", "property": "overlap", "signature": signature,
                 "diagnosis": "operation 1: overlaps", "operations": 2, "version": "abc", **more}
        for suffix, text in (("", "program"), (".txt", "allocate 0\n"), (".c", "int main;"),
                             (".json", json.dumps(facts))):
            with open(path + suffix, "w", encoding="utf-8") as f:
                f.write(text)
        return path

    def test_findings_come_from_their_files(self):
        path = self.finding("00000009")
        with open(os.path.join(os.path.dirname(path), "torn.json"), "w", encoding="utf-8") as f:
            f.write('{"strategy":')
        os.unlink(self.path)
        db = self.open()
        row = db.one("SELECT * FROM findings WHERE signature = '00000009'")
        self.assertEqual(("operation 1: overlaps", 2, "allocate 0\n", "int main;", "abc"), tuple(
            row[key] for key in ("diagnosis", "operations", "text", "c_program", "assay")))
        self.assertEqual(path, os.path.join(self.folder, row["path"]))
        said = "\n".join(self.said)
        self.assertIn("1 finding recovered from the files", said)
        self.assertIn("torn.json", said)

    def test_a_campaign_that_goes_on_does_not_forget_what_it_found(self):
        db = self.open()
        db.write("UPDATE campaigns SET ended = NULL, state = 'running' WHERE id = 3")
        record.checkpoint(db, 3, self.folder)
        db.close()
        self.finding("00000009")
        self.finding("0000000a", operations=None, engine="afl", since="2027-01-01T00:00:00Z")
        os.unlink(self.path)
        db = self.open()
        told = {finding.signature: finding.status for finding in self.told(db, 3).findings}
        self.assertEqual(("flaky", None), (told.get("0000000a"), told.get("00000009")))
        # It is replayed: that tells whether it is new, known or fixed.
        self.assertNotIn("replay", [phase.name for phase in self.told(db, 3).phases])
        self.assertIn("replay", [phase.name for phase in self.told(db, 2).phases])
        self.assertIn("2 findings recovered", "\n".join(self.said))

    def test_readers_say_so_and_repair_nothing(self):
        with open(self.path, "r+b") as f:
            f.seek(3 * 4096)
            f.write(b"\x5a" * 4096 * 8)
        with self.assertRaises(history.Damaged):
            history.History(self.path, read_only=True)
        self.assertEqual([], glob.glob(self.path + ".damaged*"))


# Commits row after row, and says how far it came.
_WRITER = """
import sys
sys.path.insert(0, %r)
from reports import history
db = history.History(sys.argv[1])
for i in range(1000000):
    with db.transaction():
        db.insert("campaigns", uuid="a%%d" %% i, command="fuzz", started="t")
        db.insert("campaigns", uuid="b%%d" %% i, command="fuzz", started="t")
    print(i, flush=True)
"""


class KilledTest(Case):
    def test_what_was_committed_is_there_and_nothing_by_halves(self):
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        before = 0
        for _ in range(5):
            with subprocess.Popen([sys.executable, "-c", _WRITER % root, self.path],
                                  stdout=subprocess.PIPE, text=True) as child:
                for _ in range(20):
                    last = int(child.stdout.readline())
                child.kill()
            db = self.open()
            pairs = {row[0]: row[1] for row in db.query(
                "SELECT substr(uuid, 2), count(*) FROM campaigns GROUP BY 1")}
            self.assertEqual({2}, set(pairs.values()))
            self.assertGreater(len(pairs), last)
            self.assertGreater(len(pairs), before)
            db.write("DELETE FROM campaigns")
            db.close()
        self.assertEqual([], self.said)


if __name__ == "__main__":
    unittest.main()
