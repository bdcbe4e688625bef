"""Turns suspects (inputs that an engine calls findings) into findings, while fuzzing goes on.

suspect -> verdict -> known? -> minimal program -> known? -> stored. One thread of its own; each
step is a child process, so that no input can hurt it. A suspect whose replay is clean becomes a
finding that is marked flaky: never is one dropped.
"""
import os
import queue
import re
import threading
import time
import zlib

from ci import corpus_folder, judge
from reports import results

# Seconds for minimising one finding; when the run is over, only these.
_MINIMISE = 20
_MINIMISE_LATE = 5

# A suspect whose replay is clean gets as many chances.
_REPLAYS = 3

_ASSERTION = re.compile(r"ASSERTION FAILED: (\S+)")
_ERROR = re.compile(r"ERROR: (?:assay: )?(.*)")


class Detective:
    """Started by the constructor; finish() waits for what is queued."""

    def __init__(self, assay, store, folder, environments, on_finding=lambda finding: None):
        """`assay` is a Judge, `folder` one for temporary files, `environments` the variables that a
        strategy's fuzz target needs, {strategy: {name: value}}."""
        self._judge = assay
        self._store = store
        self._folder = folder
        self._environments = environments
        self._on_finding = on_finding
        self._suspects = queue.Queue()
        self._seen = {}          # (strategy, sha1) -> identity, or None while it is in question
        self._identities = {}    # (strategy, property, signature) -> Finding
        self._lock = threading.Lock()
        self._late = False
        self.began = time.monotonic()
        self.error = None        # what ended the thread, such as a full disk
        self.problems = []       # suspects that could not be judged
        self._thread = threading.Thread(target=self._work, name="detective", daemon=True)
        self._thread.start()

    def report(self, suspect):
        """Takes a suspect over."""
        suspect.seconds = time.monotonic() - self.began
        self._suspects.put(suspect)

    @property
    def findings(self):
        """The findings so far, in the order in which they were found."""
        with self._lock:
            distinct = {id(finding): finding for finding in self._identities.values()}
        return sorted(distinct.values(), key=lambda finding: finding.seconds or 0)

    @property
    def waiting(self):
        return self._suspects.unfinished_tasks

    def finish(self):
        """Waits until every suspect has been dealt with."""
        self._late = True
        self._suspects.put(None)
        self._thread.join()

    def _work(self):
        while True:
            suspect = self._suspects.get()
            try:
                if suspect is None:
                    return
                if self.error is None:
                    self._investigate(suspect)
            except OSError as error:
                self.error = error
            finally:
                self._suspects.task_done()

    def _investigate(self, suspect):
        data = suspect.data if suspect.data is not None else b""
        key = (suspect.strategy, corpus_folder.sha1(data))
        if suspect.data is not None and key in self._seen:
            self._count(self._seen[key], suspect)
            return
        path = os.path.join(self._folder, "suspect")
        with open(path, "wb") as f:
            f.write(data)
        verdict = None
        if suspect.data is not None:
            try:
                verdict = self._replays(suspect, path)
            except judge.CannotJudge as error:
                # It is a finding all the same.
                self.problems.append("%s: %s" % (suspect.strategy, error))
        if verdict:
            finding = self._solved(suspect, path, verdict)
        else:
            finding = self._flaky(suspect, path, data)
        if suspect.data is not None:
            self._seen[key] = finding

    def _replays(self, suspect, path):
        for _ in range(1 if suspect.kind == "hang" else _REPLAYS):
            verdict = self._judge.verdict(suspect.strategy, path)
            if verdict:
                return verdict
        return None

    def _solved(self, suspect, path, verdict):
        identity = (suspect.strategy, verdict.property, verdict.signature)
        if identity in self._identities:
            finding = self._identities[identity]
            self._count(finding, suspect)
            return finding
        minimal = path + ".min"
        verdict = self._judge.minimise(suspect.strategy, path, verdict, minimal,
                                       _MINIMISE_LATE if self._late else _MINIMISE)
        smaller = (suspect.strategy, verdict.property, verdict.signature)
        finding = self._identities.get(smaller) or self._earlier(smaller)
        if finding is None:
            finding = self._new(suspect, minimal, verdict)
        self._remember(finding, suspect, identity, smaller)
        return finding

    def _earlier(self, identity):
        finding = self._store.stored(*identity)
        if finding:
            finding.seconds = finding.executions = None
        return finding

    def _new(self, suspect, path, verdict):
        with open(path, "rb") as f:
            data = f.read()
        finding = results.Finding(
            name="", strategy=suspect.strategy, property=verdict.property,
            signature=verdict.signature, diagnosis=verdict.diagnosis, site=verdict.site,
            operations=verdict.operations, build=verdict.build, tier=judge.TIER,
            engine=suspect.engine, executions=suspect.executions, seconds=suspect.seconds,
            text=self._judge.text_form(suspect.strategy, path, verdict, self._folder))
        story = self._judge.story(suspect.strategy, path, verdict.build)
        self._store.add(finding, data, story=story,
                        c_program=self._judge.c_form(suspect.strategy, path, verdict),
                        explanation=self._explanation(finding, path) if story else "")
        return finding

    def _explanation(self, finding, path):
        """Without the line that names the file."""
        try:
            told = self._judge.explanation(finding.strategy, path, finding.build)
        except judge.CannotJudge:
            return ""
        return told.split("\n\n", 1)[-1]

    def _flaky(self, suspect, path, data):
        """A finding on the engine's word alone."""
        log, property_id, diagnosis = suspect.log, suspect.property, suspect.diagnosis
        if suspect.data is not None and not property_id and suspect.kind == "crash":
            # AFL++ keeps no log: the fuzz target itself may tell.
            failed, log = judge.replay_log(
                suspect.target, self._environments.get(suspect.strategy, {}), path)
            match = _ASSERTION.search(log) if failed else None
            property_id = match.group(1) if match else ""
            match = _ERROR.search(log)
            diagnosis = match.group(1) if match else ""
        property_id = property_id or suspect.kind
        # Numbers differ from time to time: addresses, sizes.
        place = re.sub(r"0x[0-9a-f]+|\d+", "N", diagnosis)
        signature = "%08x" % zlib.crc32(("%s %s" % (property_id, place)).encode())
        identity = (suspect.strategy, property_id, signature)
        finding = self._identities.get(identity) or self._earlier(identity)
        if finding is None:
            finding = results.Finding(
                name="", strategy=suspect.strategy, property=property_id, signature=signature,
                diagnosis=diagnosis or "%s said so; replays are clean" % suspect.engine,
                flaky=True, tier=judge.TIER, build=judge.ASAN, engine=suspect.engine,
                executions=suspect.executions, seconds=suspect.seconds, text=log[-4000:])
            self._store.add(finding, data, log=log or "(the engine left no log)\n")
        self._remember(finding, suspect, identity)
        return finding

    def _remember(self, finding, suspect, *identities):
        with self._lock:
            new = all(known is not finding for known in self._identities.values())
            for identity in identities:
                self._identities[identity] = finding
        if new and finding.seconds is None:
            # Stored by an earlier run; found again by this one.
            finding.engine, finding.seconds = suspect.engine, suspect.seconds
            finding.executions = suspect.executions
        self._count(finding, suspect)
        if new:
            self._on_finding(finding)

    def _count(self, finding, suspect):
        with self._lock:
            finding.inputs[suspect.engine] = finding.inputs.get(suspect.engine, 0) + 1
