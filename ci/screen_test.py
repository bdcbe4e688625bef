#!/usr/bin/env python3
"""The live screen as a terminal shows it, and status.json."""
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import sys
import tempfile
import termios
import time
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from ci import live, screen, status  # noqa: E402


def campaign(jobs=40, **fields):
    states = [live.RUNNING, live.WAITING, live.PARKED, live.GIVEN_UP]
    return live.Live(command="overnight", phase="fuzz", seconds=60, left=3600, jobs=[
        live.Job("strategy_%d" % number, "libfuzzer", "address", states[number % 4], 1234.5, 10 ** 7,
                 420, 999, 77, number, 0, 100.0, None if number == 5 else number * 10.0)
        for number in range(jobs)], findings={"new": 2, "known": 1, "flaky": 0}, **fields)


class RenderTest(unittest.TestCase):
    def test_nothing_is_wider_or_higher_than_the_terminal(self):
        full = campaign(disk_limit=1 << 33, memory_limit=1 << 34)
        for width in (1, 8, 20, 40, 79, 120, 199):
            for height in (1, 2, 5, 8, 20, 46):
                lines = screen.render(full, width, height)
                self.assertLessEqual(len(lines), height)
                self.assertLessEqual(max(map(len, lines)), width)

    def test_who_runs_comes_first_and_the_rest_is_counted(self):
        lines = screen.render(campaign(), 79, 20)
        self.assertTrue(lines[4].startswith("> strategy_0 libfuzzer address"), lines[4])
        self.assertRegex(lines[-1], r"and 25 others: 5 waiting, 10 parked, 10 given up")
        self.assertIn("2 new, 1 known", lines[1])
        self.assertNotIn("flaky", lines[1])

    def test_narrow_terminals_lose_columns_not_names(self):
        self.assertIn("CPU", screen.render(campaign(), 120, 20)[3])
        narrow = screen.render(campaign(), 50, 20)
        self.assertNotIn("CPU", narrow[3])
        self.assertIn("exec/s", narrow[3])
        self.assertIn("strategy_0 libfuzzer address", narrow[4])

    def test_control_characters_stay_out_of_the_terminal(self):
        evil = live.Live(jobs=[live.Job("a\033[2J\nb", "afl", "none", live.RUNNING)])
        self.assertNotIn("\033", "".join(screen.render(evil, 80, 20)) + screen.plain(evil))

    def test_numbers_are_short(self):
        self.assertEqual(["0", "999", "1k", "1.23M", "12.3G", "1235G"], [
            screen.short(value) for value in (0, 999, 1000, 1234567, 12345678901, 1234567890123)])


class Terminal:
    """As much of a terminal as the screen uses."""

    def __init__(self, columns, rows):
        self.rows, self.columns = [""] * rows, columns
        self.row = self.column = 0

    def feed(self, data):
        for part in re.findall(r"\033\[\d*(?:;\d*)?[A-Za-z]|[^\033]|\033", data):
            if part.startswith("\033["):
                getattr(self, "_" + part[-1])(int(part[2:-1] or "0"))
            elif part == "\r":
                self.column = 0
            elif part == "\n":
                self._newline()
            else:
                if self.column >= self.columns:
                    self._newline()
                    self.column = 0
                line = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = line[:self.column] + part + line[self.column + 1:]
                self.column += 1

    def _newline(self):
        if self.row == len(self.rows) - 1:
            self.rows = self.rows[1:] + [""]
        else:
            self.row += 1

    def _A(self, count):
        self.row = max(0, self.row - max(1, count))

    def _K(self, _):
        self.rows[self.row] = self.rows[self.row][:self.column]

    def _J(self, how):
        first = 0 if how == 2 else self.row
        if how != 2:
            self._K(0)
            first += 1
        self.rows[first:] = [""] * (len(self.rows) - first)

    def _H(self, _):
        self.row = self.column = 0

    @property
    def text(self):
        return "\n".join(self.rows).rstrip("\n")


class ScreenTest(unittest.TestCase):
    def screen(self, columns, rows):
        size = mock.patch("shutil.get_terminal_size", lambda: os.terminal_size(self.size))
        self.size = (columns, rows)
        size.start()
        self.addCleanup(size.stop)
        self.stream = io.StringIO()
        return screen.Screen(self.stream)

    def shown(self, columns, rows):
        terminal = Terminal(columns, rows)
        # The line discipline begins a new line at its first column.
        terminal.feed(self.stream.getvalue().replace("\n", "\r\n"))
        return terminal.text

    def test_a_block_is_drawn_in_its_place_and_what_is_said_stays_above(self):
        block = self.screen(40, 12)
        block.draw(["one", "two is longer", "three"])
        block.draw(["one again", "two"])
        block.say("a finding")
        block.draw(["x"])
        self.assertEqual("a finding\nx", self.shown(40, 12))
        block.clear()
        self.stream.write("the report")
        self.assertEqual("a finding\nthe report", self.shown(40, 12))

    def test_a_full_terminal_does_not_scroll_away(self):
        block = self.screen(40, 12)
        for number in range(20):
            block.draw(["line %d of %d" % (line, number) for line in range(30)])
        block.say("said")
        self.assertEqual(["said"] + ["line %d of 19" % line for line in range(8)],
                         self.shown(40, 12).split("\n")[-9:])

    def test_when_the_size_changes_nothing_old_is_left(self):
        block = self.screen(80, 24)
        block.draw(["x" * 79] * 10)
        self.size = (30, 10)
        block.draw(["y" * 79] * 10)
        self.assertEqual("\n".join(["y" * 29] * 6), self.shown(80, 24))


class StatusTest(unittest.TestCase):
    def test_a_plain_line_where_there_is_no_terminal(self):
        stream = io.StringIO()
        shown = status.Status(stream)
        shown.say("building")
        with mock.patch("time.monotonic", lambda: 1e9):
            self.assertTrue(shown.due())
            shown.show(campaign(4))
            self.assertFalse(shown.due())
        self.assertEqual(2, stream.getvalue().count("\n"))
        self.assertNotIn("\033", stream.getvalue())
        self.assertIn("40 000 000 executions", stream.getvalue())

    def test_the_file_is_whole_and_says_all(self):
        with tempfile.TemporaryDirectory() as folder:
            shown = status.Status(io.StringIO(), os.path.join(folder, "status.json"))
            shown.about = {"campaign": "c", "command": "pr"}
            shown.show(campaign(4))
            with open(shown.file, encoding="utf-8") as f:
                read = json.load(f)
            self.assertEqual(("c", "pr", 4 * 10 ** 7, 4 * 77, os.getpid(), live.SCHEMA), (
                read["campaign"], read["command"], read["executions"], read["corpus"], read["pid"],
                read["schema"]))
            shown.phase("settle", 5)
            with open(shown.file, encoding="utf-8") as f:
                read = json.load(f)
            self.assertEqual(("settle", 5, 0), (read["phase"], read["left"], read["rate"]))
            self.assertEqual(["status.json"], os.listdir(folder))

    def test_a_full_disk_is_no_reason_to_end(self):
        live.write(campaign(1), "/nowhere/at/all/status.json")


DEMO = """
import sys, time; sys.path.insert(0, %r)
from ci import command_line, live, status
shown = status.Status()
interrupt = command_line.Interrupt("demo", "nothing is lost")
interrupt.install()
while not interrupt.name:
    shown.show(live.Live(phase="fuzz", left=9, jobs=[live.Job("slab", "afl", "none")] * 50))
    time.sleep(0.1)
shown.clear()
print("the report")
"""


class PtyTest(unittest.TestCase):
    def test_ctrl_c_leaves_a_clean_terminal(self):
        child, terminal = pty.fork()
        if child == 0:
            os.environ.pop("COLUMNS", None)
            os.environ.pop("LINES", None)
            os.execv(sys.executable, [sys.executable, "-c", DEMO % ROOT])
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        modes = termios.tcgetattr(terminal)
        seen, asked, end = "", False, time.monotonic() + 50
        while time.monotonic() < end:
            try:
                data = os.read(terminal, 65536).decode()
            except OSError:
                break
            seen += data
            if not asked and "slab afl none" in seen:
                asked = True
                os.write(terminal, b"\x03")
        else:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        end = Terminal(80, 24)
        end.feed(seen)
        self.assertEqual("the report", end.text.strip())
        self.assertEqual(modes, termios.tcgetattr(terminal))
        self.assertFalse(re.search(r"\033\[\?", seen))
        os.close(terminal)


if __name__ == "__main__":
    unittest.main()
