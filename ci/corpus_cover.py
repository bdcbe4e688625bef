"""Thins corpora to the inputs that together show all that the whole corpus shows.

A greedy set cover over what libFuzzer calls features, edges and how often each was taken: its
-set_cover_merge=1, which takes the input that adds most until nothing is added (Chvatal,
Mathematics of Operations Research 1979: at most ln n times as many as needed); -merge=1, which goes
by size, where libFuzzer is older. An input that AFL++ kept stays only if it shows libFuzzer
something: what AFL++ alone sees as new, such as an order of edges, is lost.

Killed at any moment, nothing is lost. What is known so far lies in a folder of the strategy's own:

  inputs        names of the corpus files that it is about; later ones stay untouched
  control       libFuzzer's notes; a next attempt goes on from there
  out/          what is to be kept, while it is being copied
  keep          its names, once it is complete: the rest of `inputs` is deleted

On an input that it crashes on libFuzzer starts anew behind it. Such an input is not kept.
"""
import dataclasses
import os
import re
import shutil
import threading
import time

from ci import corpus_folder, engine_session, process, quotas
from ci.engine_session import engines
from reports import text

# In the environment of what merges: the folder that it works in.
_MARK = "ASSAY_COVER"

_DONE = re.compile(r"MERGE-OUTER: (\d+) new files with (\d+) new features added; (\d+) new cov")
_PULSE = re.compile(r"^#(\d+)\s")

# Seconds that a thinning in the background may take.
_BACKGROUND = 900.0


@dataclasses.dataclass
class Outcome:
    """What became of one corpus."""
    strategy: str
    before: int              # inputs
    after: int
    features: int = 0        # that the inputs show
    note: str = ""           # why it was not thinned
    failures: int = 0        # inputs that crashed

    def __str__(self):
        if self.note:
            return "%s: %s" % (self.strategy, self.note)
        return "%s: %s of %s cover %s" % (
            self.strategy, text.number(self.after), text.count(self.before, "input"),
            text.count(self.features, "feature"))


def _write_list(path, names):
    """All of it or nothing, whatever happens."""
    with open(path + ".tmp", "w", encoding="ascii") as f:
        f.write("".join(name + "\n" for name in names))
        f.flush()
        os.fsync(f.fileno())
    os.replace(path + ".tmp", path)


def _read_list(path):
    """None if it is not there."""
    try:
        with open(path, encoding="ascii") as f:
            return f.read().split()
    except FileNotFoundError:
        return None


def work_of(programs, corpora):
    """What minimise_all and Thinner work on: (strategy, program, corpus folder) of each strategy
    that has a libFuzzer target among `programs`, {(strategy, engine, sanitizer): path}; the fastest
    of them that sees all edges. `corpora` is the folder of the corpora's folders."""
    chosen = {}
    for sanitizer in ("thread", "memory", "address", "none"):
        chosen.update({strategy: program for (strategy, engine, other), program in programs.items()
                       if engine == "libfuzzer" and other == sanitizer})
    return [(strategy, program, os.path.join(corpora, strategy))
            for strategy, program in chosen.items()]


def suspect(campaign, strategy, data):
    """An input that crashed, as one for the detective."""
    return engine_session.Suspect(strategy, "corpus", "crash", data, "", sanitizer="none",
                                  job=campaign.job((strategy, "corpus", "none")))


def minimise(strategy, program, corpus, folder, seconds, environment=None, stop=lambda: False,
             say=lambda line: None, failed=lambda strategy, data: None):
    """Thins the folder `corpus`; returns an Outcome. `program` is a libFuzzer target, `folder` the
    strategy's own, which outlives a kill. `failed` gets inputs that crashed, before they leave the
    corpus: perhaps more than once."""
    cover = _Cover(strategy, program, corpus, folder, environment, stop, say, failed)
    return cover.run(time.monotonic() + seconds)


class _Cover:
    def __init__(self, strategy, program, corpus, folder, environment, stop, say, failed):
        self._strategy, self._program = strategy, program
        self._corpus = corpus_folder.Corpus(os.path.abspath(corpus))
        self._folder = folder
        self._environment = environment or {}
        self._stop, self._say, self._failed = stop, say, failed
        self._said = 0.0
        self._failures = 0

    def _path(self, name):
        return os.path.join(self._folder, name)

    def run(self, end):
        before = len(self._corpus)
        outcome = Outcome(self._strategy, before, before)
        if before < 2:
            return outcome
        if _read_list(self._path("keep")) is None:
            self._hand_over()
            self._choose_inputs()
            outcome.note = self._merge(end, outcome)
            outcome.failures = self._failures
            if outcome.note:
                return outcome
        self._replace()
        outcome.after = len(self._corpus)
        return outcome

    def _choose_inputs(self):
        """Goes on with the list of an earlier attempt if its files are all there yet."""
        present = [os.path.basename(path) for path in self._corpus.paths()]
        listed = _read_list(self._path("inputs"))
        if not listed or set(listed) - set(present):
            shutil.rmtree(self._folder, ignore_errors=True)
            os.makedirs(self._folder)
            _write_list(self._path("inputs"), present)

    def _replace(self):
        """Deletes what the cover does without. May be repeated."""
        keep = set(_read_list(self._path("keep")))
        for name in _read_list(self._path("inputs")) or ():
            if name not in keep:
                try:
                    os.unlink(os.path.join(self._corpus.folder, name))
                except FileNotFoundError:
                    pass
        shutil.rmtree(self._folder)

    # libFuzzer.

    def _merge(self, end, outcome):
        """Makes `keep`; returns '' or why there is none."""
        flag = "-set_cover_merge=1" if self._knows("set_cover_merge") else "-merge=1"
        for _ in range(2):
            shutil.rmtree(self._path("out"), ignore_errors=True)
            os.makedirs(self._path("out"))
            code, log = self._run(flag, end)
            if "nothing to do, merge has been completed before" not in log:
                break
            # Killed between its last note and the copies. It does not make them up.
            os.unlink(self._path("control"))
        if code is None:
            return "stopped" if self._stop() else "the time was over before its cover was known"
        match = _DONE.search(log)
        names = [name for name in engine_session.names_in(self._path("out"))
                 if os.path.exists(os.path.join(self._corpus.folder, name))]
        if code != 0 or not match or not names or len(names) != int(match.group(1)):
            lines = [line for line in log.splitlines() if line.strip()]
            return "libFuzzer could not merge it (exit code %s): %s" % (
                code, text.one_line(lines[-1], 150) if lines else "no output")
        outcome.features = int(match.group(2))
        self._hand_over()
        _write_list(self._path("keep"), names)
        return ""

    def _knows(self, flag):
        _, out, err = process.run([self._program, "-help=1"], env=self._env(), seconds=20)
        return flag in out + err

    def _env(self):
        env = engines.environment(engines.SANITIZERS, **self._environment)
        # These executions are no fuzzing.
        env.pop("ASSAY_COUNTERS", None)
        env[_MARK] = os.path.abspath(self._folder)
        for key in engines.SANITIZERS:
            env[key] += ":symbolize=0"
        return env

    def _run(self, flag, end):
        """(exit code or None if it had to be stopped, output). It reads a folder of links: files
        that come into the corpus meanwhile are no part of it."""
        # libFuzzer merges in a child of its own, which may outlive us and it.
        process.kill_marked(("%s=%s\0" % (_MARK, os.path.abspath(self._folder))).encode())
        source = self._path("source")
        shutil.rmtree(source, ignore_errors=True)
        os.makedirs(source)
        largest = 4096
        names = _read_list(self._path("inputs"))
        for name in names:
            path = os.path.join(self._corpus.folder, name)
            try:
                os.symlink(path, os.path.join(source, name))
                largest = max(largest, os.path.getsize(path))
            except OSError:
                continue     # banned meanwhile
        merge = process.Process(quotas.polite([
            self._program, flag, "-merge_control_file=" + self._path("control"),
            # A longer one would be cut off, and be another.
            "-max_len=%d" % largest, "-timeout=10", "-rss_limit_mb=2560",
            "-artifact_prefix=" + self._path("failed-"), self._path("out"), source]), self._env())
        lines = []
        while merge.code is None:
            for line in merge.poll():
                lines.append(line)
                self._progress(line, len(names))
            if merge.code is None and (self._stop() or time.monotonic() >= end):
                merge.kill()
                merge.poll()
                return None, "\n".join(lines)
            time.sleep(0.05)
        return merge.code, "\n".join(lines)

    def _progress(self, line, total):
        match = _PULSE.match(line)
        if match and time.monotonic() > self._said + 2:
            self._said = time.monotonic()
            self._say("minimising the corpus of %s: %s of %s inputs" % (
                self._strategy, text.number(int(match.group(1))), text.number(total)))

    def _hand_over(self):
        """Inputs that failed while they were merged, though no engine said so of them."""
        for name in engine_session.names_in(self._folder):
            if name.startswith("failed-"):
                data = engine_session.read_input(self._path(name))
                if data is not None:
                    self._failed(self._strategy, data)
                    self._failures += 1
                os.unlink(self._path(name))


def minimise_all(work, folder, seconds, environments=None, stop=lambda: False,
                 say=lambda line: None, failed=lambda strategy, data: None):
    """Yields an Outcome for each of `work`, tuples (strategy, program, corpus folder). What one
    leaves of its time the others get; the smallest come first, so that as many as can be are
    done."""
    end = time.monotonic() + seconds
    left = sorted(work, key=lambda item: len(engine_session.names_in(item[2])))
    while left and not stop():
        part = (end - time.monotonic()) / len(left)
        strategy, program, corpus = left.pop(0)
        yield minimise(strategy, program, corpus, os.path.join(folder, strategy), max(1.0, part),
                       (environments or {}).get(strategy), stop, say, failed)


class Thinner:
    """Thins corpora while fuzzing goes on: for quotas.Guard. `work` as for minimise_all; `done` and
    `failed` are called in the thread that does it."""

    def __init__(self, work, folder, environments=None, done=lambda outcome: None,
                 failed=lambda strategy, data: None):
        self._work = {item[0]: item for item in work}
        self._folder = folder
        self._environments = environments or {}
        self._done, self._failed = done, failed
        self._thread = None
        self._stopped = False

    def start(self, strategy):
        """False if it cannot."""
        if strategy not in self._work or self.busy():
            return False
        _, program, corpus = self._work[strategy]

        def thin():
            try:
                self._done(minimise(strategy, program, corpus, os.path.join(self._folder, strategy),
                                    _BACKGROUND, self._environments.get(strategy),
                                    lambda: self._stopped, failed=self._failed))
            except OSError as error:
                self._done(Outcome(strategy, 0, 0, note="not thinned: %s" % error))
        self._thread = threading.Thread(target=thin, daemon=True)
        self._thread.start()
        return True

    def busy(self):
        return self._thread is not None and self._thread.is_alive()

    def stop(self):
        """Ends what it does, and waits for that."""
        self._stopped = True
        if self._thread:
            self._thread.join()
