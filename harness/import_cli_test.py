#!/usr/bin/env python3
"""assay import and what goes with it, as people use them.

    import_cli_test.py --assay PROGRAM
"""
import argparse
import gzip
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

ASSAY = None

REP = "20000\n2\n4\n1\na 0 512\na 1 128\nr 0 640\nf 1\n"
ANDROID = "".join("%d: malloc 0x%x %d\n" % (7 + i % 3, 4096 + 64 * i, 1 + i) for i in range(40)) + \
    "".join("%d: free 0x%x\n" % (7 + i % 2, 4096 + 64 * i) for i in range(40))
HEAPTRACK = "v 10500 3\nX sort\ns 4 main\na 20 1\n+ 0\n+ 0\n- 0\n"
MTRACE = "= Start\n@ a:[0x1] + 0x50 0x64\n@ a:[0x1] < 0x50\n@ a:[0x1] > 0x50 0x13\n= End\n"
SAMPLES = {"rep": REP, "android": ANDROID, "heaptrack": HEAPTRACK, "mtrace": MTRACE}


def assay(*arguments, **options):
    """Runs assay; returns exit code, standard output and standard error."""
    result = subprocess.run([ASSAY, *arguments], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=False, timeout=120, **options)
    return result.returncode, result.stdout, result.stderr


class ImportTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
        return path

    def done(self, *arguments):
        code, output, errors = assay(*arguments)
        self.assertEqual((code, errors), (0, ""))
        return output

    def refused(self, arguments, *words):
        code, output, errors = assay(*arguments)
        self.assertEqual((code, output), (2, ""), errors)
        self.assertEqual(errors.count("\n"), 1, errors)
        for word in words:
            self.assertIn(word, errors)

    def test_each_form_becomes_a_trace_that_replays(self):
        for form, content in SAMPLES.items():
            source, trace = self.path("file", content), self.path(form + ".trace")
            told = json.loads(self.done("import", "--json", "--output", trace, source))
            self.assertEqual((told["format"], told["container"]), (form, ""))
            self.assertEqual(told["lines"], content.count("\n"))
            with open(trace, "rb") as file:
                self.assertEqual(file.read(8), b"assaytrc")
            for path in (trace, source):
                verdict = json.loads(self.done("replay", "--strategy", "free_list", "--json", path))
                self.assertEqual(verdict["verdict"], "clean")
                self.assertEqual(verdict["operations"], told["operations"])

    def test_words(self):
        output = self.done("import", "--output", self.path("t"), self.path(
            "a.rep", "1\n3\n9\n0\na 0\nf -1\na 1 80000000000000000\n"))
        self.assertIn("a.rep: rep, 2 operations, 1 thread, at most 1 bytes in 1 blocks", output)
        for words in ("  1 releases of NULL, left out", "  1 sizes missing", "  1 requests for 0",
                      "  1 requests beyond 64 GiB", "  9 operations are promised, and 3 are there",
                      "  3 ids are promised, and 2 are there"):
            self.assertIn(words, output)

    def test_threads(self):
        told = json.loads(self.done("import", "--json", "--output", self.path("t"),
                                    self.path("a", ANDROID)))
        self.assertEqual((told["threads"], told["peak_blocks"]), (3, 40))
        with open(self.path("t"), "rb") as file:
            records = file.read()[64:]
        threads = [struct.unpack_from("<H", records, at + 2)[0]
                   for at in range(16, len(records), 16)]
        self.assertEqual(threads, [i % 3 for i in range(40)] + [i % 2 for i in range(40)])

    def test_packed(self):
        with zipfile.ZipFile(self.path("a.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.txt", ANDROID)
        self.path("a.gz", gzip.compress(ANDROID.encode()))
        self.done("import", "--output", self.path("plain"), self.path("a.txt", ANDROID))
        with open(self.path("plain"), "rb") as file:
            plain = file.read()
        for name, container in (("a.zip", "zip"), ("a.gz", "gzip")):
            told = json.loads(self.done("import", "--json", "--output", self.path("t"),
                                        self.path(name)))
            self.assertEqual(told["container"], container)
            with open(self.path("t"), "rb") as file:
                self.assertEqual(file.read(), plain)

    def test_several_into_a_folder(self):
        os.mkdir(self.path("out"))
        files = [self.path(form, content) for form, content in SAMPLES.items()]
        self.done("import", "--output", self.path("out"), *files)
        self.assertEqual(sorted(os.listdir(self.path("out"))),
                         sorted(form + ".trace" for form in SAMPLES))
        # None takes the place of another.
        os.mkdir(self.path("other"))
        self.refused(["import", "--output", self.path("out"), files[0],
                      self.path("other/rep", REP)], "both would become", "out/rep.trace")
        # One that is bad does not keep the others away.
        code, output, errors = assay("import", "--output", self.path("out"),
                                     self.path("bad", "= Start\nno\n"), files[0])
        self.assertEqual(code, 2)
        self.assertIn("bad: line 2: no call", errors)
        self.assertIn("rep.trace", output)

    def test_refused_and_nothing_left(self):
        trace = self.path("t")
        for content, words in (
                ("1\n2\n3\n0\na 0 1\nq 7\n", "line 6: no operation"),
                (REP[:-6], "cut off at offset 34, in line 7 (operation 3 of 4)"),
                (gzip.compress(REP.encode())[:-9], "cut off at offset"),
                (b"\0\1\2\3" * 40, "no trace that is known"),
                ("", "no trace that is known")):
            self.refused(["import", "--output", trace, self.path("file", content)], words)
            self.assertEqual(os.listdir(self.folder), ["file"])
        self.refused(["import", "--output", trace, self.path("nothing")], "cannot be opened")
        self.refused(["import", self.path("file")], "--output")
        self.refused(["import", "--output", trace, self.path("file"), self.path("file")],
                     "no folder")
        self.refused(["import", "--alignment", "12", "--output", trace, self.path("file")],
                     "power of two")
        self.refused(["import", "--strategy", "tlsf"], "--help")

    def test_rep_there_and_back(self):
        for header, numbers in (("heap_size", ["1048576", "2", "4", "1"]),
                                ("ignore_ranges", ["1", "2", "4", "0"]),
                                ("max_live_bytes", ["1", "2", "4", "768"])):
            rep, again = self.path("out.rep"), self.path("again.rep")
            self.done("export", "--form", "rep", "--header", header, "--output", rep,
                      self.path("in.rep", REP))
            with open(rep, encoding="ascii") as file:
                lines = file.read().split("\n")
            self.assertEqual(lines[:4], numbers)
            self.assertEqual("\n".join(lines[4:]), REP.split("\n", 4)[4])
            self.done("export", "--form", "rep", "--header", header, "--output", again, rep)
            with open(again, encoding="ascii") as file:
                self.assertEqual(file.read().split("\n"), lines)

    def test_what_is_refused_leaves_its_block(self):
        rep = "1\n3\n6\n%d\na 0 100\nr 0 80000000000000000\na 1 50\nf 0\nf 1\na 2 149\n"
        told = json.loads(self.done("import", "--json", "--output", self.path("t"),
                                    self.path("in.rep", rep % 0)))
        self.assertEqual((told["peak_bytes"], told["peak_blocks"], told["huge"]), (150, 2, 1))
        self.done("export", "--form", "rep", "--header", "max_live_bytes", "--output",
                  self.path("out.rep"), self.path("t"))
        with open(self.path("out.rep"), encoding="ascii") as file:
            self.assertEqual(file.read(), rep % 150)

    def test_text_there_and_back(self):
        """Through text a trace loses nothing but its header."""
        for form, content in SAMPLES.items():
            trace, text, again = self.path("t"), self.path("text"), self.path("again")
            self.done("import", "--output", trace, self.path(form, content))
            self.done("export", "--form", "text", "--output", text, trace)
            self.done("import", "--output", again, text)
            with open(trace, "rb") as one, open(again, "rb") as other:
                self.assertEqual(one.read()[64:], other.read()[64:])
            told = [json.loads(self.done("import", "--json", "--output", again, path))
                    for path in (trace, text)]
            for key in ("operations", "threads", "peak_bytes", "peak_blocks"):
                self.assertEqual(told[0][key], told[1][key])

    def test_what_rep_cannot_say_is_told(self):
        text = self.path("text", "heap capacity=65536\nallocate 0 size=100 align=64\n"
                         "zeroed 1 count=3 size=7 thread=2\nuse 1\nrelease 5\nresize 2 size=9\n"
                         "allocate 2 size=5\nrelease 2\nrelease 1\n")
        code, output, errors = assay("export", "--form", "rep", "--output", self.path("rep"), text)
        self.assertEqual((code, output), (0, ""))
        for words in ("1 alignments beyond 16", "1 zeroed allocations", "1 operations of other",
                      "1 writes to blocks", "1 releases that name nothing"):
            self.assertIn(words, errors)
        with open(self.path("rep"), encoding="ascii") as file:
            self.assertEqual(file.read(), "65536\n4\n6\n1\na 0 100\na 1 21\na 2 9\na 3 5\n"
                             "f 3\nf 1\n")
        os.remove(self.path("rep"))
        self.refused(["export", "--form", "rep", "--output", self.path("rep"),
                      self.path("text", "heap capacity=65536\nallocate 0 size=1\nreset\n")],
                     "operation 1 is reset")
        self.refused(["export", "--form", "dot", "--output", self.path("rep"), text], "'dot'")
        self.refused(["export", "--form", "rep", "--header", "x", "--output", self.path("rep"),
                      text], "'x'")
        self.refused(["export", "--form", "rep", text], "--output")
        self.assertEqual(sorted(os.listdir(self.folder)), ["text"])

    def test_stats(self):
        """Against a count by other means."""
        told = json.loads(self.done("stats", "--json", self.path("a", ANDROID)))
        live, born, peak, cross, lived, index = {}, {}, 0, 0, [], 0
        for line in ANDROID.splitlines():
            words = line.split()
            if words[1] == "malloc":
                live[words[2]], born[words[2]] = int(words[3]), (index, words[0])
            else:
                lived.append(index - born[words[2]][0])
                cross += born[words[2]][1] != words[0]
                del live[words[2]]
            peak, index = max(peak, sum(live.values())), index + 1
        self.assertEqual(told["peak"]["bytes"], peak)
        self.assertEqual(told["threads"]["cross_thread_releases"], cross)
        self.assertEqual(told["threads"]["count"], 3)
        self.assertEqual(told["lifetimes"]["operations"]["quantiles"]["0.5"], sorted(lived)[19])
        self.assertEqual(sorted(told["sizes"]["all"]), [[i, i, 1] for i in range(1, 41)])
        self.assertEqual(told["end"], {"bytes": 0, "blocks": 0, "unnamed": 0})
        self.assertEqual(told["kinds"], {"allocate": 40, "release": 40})
        words = self.done("stats", self.path("a"))
        for part in ("80 operations (40 allocate, 40 release)", "peak       820 bytes",
                     "median 20", "threads    3; %d releases" % cross):
            self.assertIn(part, words)
        self.refused(["stats", self.path("b", b"\0\1" * 30)], "neither a trace")

    def test_generate(self):
        profile = self.path("p.json", json.dumps({
            "sizes": [[16, 64, 9], [4096, 4096, 1]], "lifetimes": [[1, 100, 1]], "threads": 3}))
        made = [self.path(name) for name in ("1", "2", "3", "4")]
        self.assertIn("3000 operations, 3 threads", self.done(
            "generate", "--profile", profile, "--operations", "3000", "--output", made[0]))
        # After a trace, and after what is told of one: the same.
        self.done("generate", "--profile", made[0], "--seed", "5", "--output", made[1])
        stats = self.path("stats.json", self.done("stats", "--json", made[0]))
        self.done("generate", "--profile", stats, "--seed", "5", "--output", made[2])
        self.done("generate", "--profile", stats, "--seed", "6", "--output", made[3])
        traces = []
        for path in made:
            with open(path, "rb") as file:
                traces.append(file.read())
        self.assertEqual(traces[1], traces[2])
        self.assertNotEqual(traces[1], traces[3])
        self.assertEqual({len(trace) for trace in traces}, {64 + 16 * 3001})
        for path in made:
            verdict = json.loads(self.done("replay", "--strategy", "free_list", "--json", path))
            self.assertEqual((verdict["verdict"], verdict["executed"]), ("clean", 3000))
        # Of another tool's, too.
        self.done("generate", "--profile", self.path("a", ANDROID), "--output", made[0])
        for content, words in (("{", "line 1"), ("{}", "no sizes"), ("nothing", "neither a profile")):
            self.refused(["generate", "--profile", self.path("bad", content), "--output",
                          self.path("t")], "bad: ", words)
            self.assertFalse(os.path.exists(self.path("t")))
        self.refused(["generate", "--output", self.path("t")], "--profile")
        self.refused(["generate", "--profile", profile], "--output")

    def test_partial(self):
        output = self.done("import", "--partial", "--output", self.path("t"),
                           self.path("file", REP + "f"))
        self.assertIn("rep, 4 operations", output)
        self.assertIn("cut off at offset 41, line 9; this is what is whole", output)


def main():
    global ASSAY
    parser = argparse.ArgumentParser()
    parser.add_argument("--assay", required=True)
    options, rest = parser.parse_known_args()
    ASSAY = os.path.abspath(options.assay)
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
