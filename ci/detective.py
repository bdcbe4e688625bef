"""Turns suspects (inputs that an engine calls findings) into findings, while fuzzing goes on.

suspect -> queue on the disk -> verdict -> known? -> N replays -> minimal program -> known? -> N replays
-> stored -> off the queue. One thread of its own; each step is a child process, so that no input can
hurt it. Verdicts are asked for by the hundred, and everything behind them is done once per identity:
a bug that every input shows costs little.

All replays agree: confirmed. Else, even if all are clean, the finding is marked flaky: never is one
dropped.
"""
import errno
import math
import os
import re
import threading
import time
import zlib

from ci import casebook, finding_store, guilty, judge, suspects
from reports import results

# Replays of a finding, each in a fresh process.
REPLAYS = 5

# Seconds for minimising one finding; when the run is over, only these.
_MINIMISE = 20
_MINIMISE_LATE = 5

# Seconds that it gets beyond the end to be through with what it is at.
_GRACE = 20

# Suspects that are taken up together, and seconds between batches that are not full.
_BATCH = 400
_PACE = 0.5

_ASSERTION = re.compile(r"ASSERTION FAILED: (\S+)")
_ERROR = re.compile(r"ERROR: (?:assay: )?(.*)")


class Detective:
    """Started by the constructor; finish() waits for what is queued."""

    def __init__(self, assay, campaign, environments, on_finding=lambda finding: None, known=None,
                 replays=REPLAYS, minimise=_MINIMISE):
        """`assay` is a Judge, `campaign` a Campaign, whose folder has the findings and the queue;
        `environments` the variables that a strategy's fuzz target needs, {strategy: {name: value}};
        `known` the known findings; `minimise` the seconds that a program may take."""
        self._judge = assay
        self._campaign = campaign
        self._environments = environments
        self._on_finding = on_finding
        self._replays = replays
        self._minimise = minimise
        self._scratch = campaign.folder.join("tmp", "detective")
        os.makedirs(self._scratch, exist_ok=True)
        self._queue = suspects.Queue(campaign.folder.join("suspects"))
        self._lock = threading.RLock()   # of the book
        self._book = casebook.Casebook(finding_store.FindingStore(campaign.folder.join("findings")),
                                       campaign.history, campaign.id, known)
        self._findings = self._book.findings
        self._end = math.inf     # of what finish() waits for
        self._cut = None         # says when the replays of what is stored must end
        assay.stop = self._must_stop
        self.error = None        # what stopped the thread, such as a full disk
        self.problems = ["%s is damaged" % path for path in self._queue.damaged]
        self._begin()

    def report(self, suspect):
        """Takes a suspect over: it is on the disk when this returns. OSError if it could not be."""
        suspect.seconds = self._campaign.clock()
        self._queue.put(suspect)
        if self._late and not self._thread.is_alive():
            self._begin()        # it comes after finish(): another will be called

    def _begin(self):
        self._late = False
        self._thread = threading.Thread(target=self._work, name="detective", daemon=True)
        self._thread.start()

    @property
    def findings(self):
        """This campaign's findings so far, in the order in which they were found."""
        return list(self._findings)

    @property
    def waiting(self):
        return len(self._queue)

    @property
    def skipped(self):
        """Suspects that were not kept, since enough waited that claimed the same."""
        return sum(self._queue.skipped.values())

    def go_on(self):
        """After an error whose cause is gone."""
        self.error = None
        self._queue.wake()

    def finish(self, seconds=math.inf):
        """Waits until every suspect has been dealt with, or begins no other one after so many seconds.
        What is left, or what an error leaves, waits in the queue for the next run; and so does what
        one that has been begun takes too long for, such as the replays of a hang."""
        self._end = time.monotonic() + seconds
        self._late = True
        self._queue.wake()
        self._thread.join()

    def _over(self):
        return self._late and time.monotonic() >= self._end

    def _must_stop(self):
        """Asked while a program is being judged."""
        if self._cut and self._cut():
            return True
        return self._late and time.monotonic() >= self._end + _GRACE

    def _work(self):
        while True:
            entries = [] if self.error or self._over() else self._queue.take(_BATCH)
            if not entries:
                if self._late:
                    return
                self._queue.wait(0.2)
                continue
            try:
                with self._lock:
                    self._investigate(entries)
                self._linger()
            except judge.Stopped:
                self._queue.put_back(entries)
            except OSError as error:
                self._queue.put_back(entries)
                self.error = error
            except Exception as error:  # pylint: disable=broad-except
                # Whatever it is: what is left unjudged must not pass for judged.
                self._queue.put_back(entries)
                self.error = OSError(errno.EIO, "%s: %s" % (type(error).__name__, error),
                                     self._queue.folder)

    def _linger(self):
        """Where many suspects come one by one, one process may judge many nevertheless."""
        end = time.monotonic() + _PACE
        while not self._late and len(self._queue) < _BATCH and time.monotonic() < end:
            self._queue.wait(max(0.0, end - time.monotonic()))

    # ## A batch of suspects, all of one strategy

    def _investigate(self, entries):
        lineup = []
        for entry in entries:
            try:
                suspect = entry.read()
            except ValueError as error:
                self.problems.append(str(error))
                self._queue.remove([entry])
                continue
            if self._book.seen(suspect):
                self._queue.remove([entry])
            else:
                lineup.append((entry, suspect))
        groups, unsolved = self._compare(lineup)
        self._sight_again(groups)
        for identity, members in groups.items():
            if self._over():
                self._queue.put_back([entry for entry, _, _, _ in members])
                continue
            self._solve(identity, members)
            self._queue.remove([entry for entry, _, _, _ in members])
        for entry, suspect, path in unsolved:
            if self._over():
                self._queue.put_back([entry])
                continue
            self._doubt(suspect, path)
            self._queue.remove([entry])
        for name in os.listdir(self._scratch):
            os.unlink(os.path.join(self._scratch, name))

    def _compare(self, lineup):
        """({identity: [(entry, suspect, path, verdict)]}, [(entry, suspect, path)] without any)."""
        groups, unsolved, paths = {}, [], {}
        for entry, suspect in lineup:
            path = os.path.join(self._scratch, str(entry.number))
            with open(path, "wb") as f:
                f.write(suspect.data or b"")
            paths[entry] = path
        for sanitizer in sorted({suspect.sanitizer for _, suspect in lineup}):
            some = [(entry, suspect) for entry, suspect in lineup if suspect.sanitizer == sanitizer]
            verdicts = self._verdicts([paths[entry] for entry, suspect in some
                                       if suspect.data is not None], some[0][1].strategy, sanitizer)
            for entry, suspect in some:
                verdict = verdicts.get(paths[entry])
                if verdict:
                    groups.setdefault((suspect.strategy, *verdict.identity), []).append(
                        (entry, suspect, paths[entry], verdict))
                else:
                    unsolved.append((entry, suspect, paths[entry]))
        return groups, unsolved

    def _verdicts(self, paths, strategy, sanitizer):
        verdicts = {}
        try:
            if len(paths) > 1:
                verdicts = self._judge.verdicts(strategy, paths, sanitizer)
        except judge.CannotJudge:
            pass    # one by one, then
        for path in paths:
            if path not in verdicts:
                try:
                    verdicts[path] = self._judge.verdict(strategy, path, sanitizer)
                except judge.CannotJudge as error:
                    # It is a finding all the same.
                    self._complain(strategy, error)
        return verdicts

    def _sight_again(self, groups):
        """What shows nothing but known identities: one transaction for all of it."""
        settled = {identity: self._book.find(identity) for identity in groups}
        settled = {identity: case for identity, case in settled.items() if case and case.settled}
        if not settled:
            return
        self._book.sight([(case, [suspect for _, suspect, _, _ in groups[identity]])
                          for identity, case in settled.items()])
        self._queue.remove([entry for identity in settled for entry, _, _, _ in groups[identity]])
        for identity in settled:
            del groups[identity]

    # ## An identity that has to be looked into

    def _solve(self, identity, members):
        # The shortest is minimised soonest.
        _, suspect, path, verdict = min(members, key=lambda member: member[3].operations)
        everyone = [suspect] + [other for _, other, _, _ in members if other is not suspect]
        case = self._book.find(identity)
        if case and not case.here and not case.on_a_word:
            # The program of an earlier campaign is minimal already.
            self._enter_stored(case)
        if case and case.settled:
            self._close(case, everyone)
            return
        same = self._same(verdict.build, suspect.strategy, path, verdict.identity)
        if same < self._replays:
            if case is None or case.finding.status == results.FIXED:
                case = case or self._new_case(suspect, verdict)
                self._store(case, path, verdict, same)
            self._close(case, everyone)
            return
        if case is None or case.identity != identity:
            case, path, verdict = self._minimal(suspect, path, verdict)
        else:
            _, path, verdict = self._minimal(suspect, path, verdict, identity)
        if case and case.settled:
            self._book.alias(case, identity[2])
            self._close(case, everyone)
            return
        case = case or self._new_case(suspect, verdict)
        self._store(case, path, verdict, self._replays, aliases=[identity[2]])
        self._close(case, everyone)
        self._book.tidy(case)

    def _enter_stored(self, case):
        """Judges a case of an earlier campaign by its own program, if that still shows it."""
        finding = case.finding
        same = self._same(finding.build, finding.strategy, finding.path, case.identity[1:])
        if same == self._replays:
            self._book.judge(case, self._replays, same)
            self._book.record(case)
            self._on_finding(finding)

    def _same(self, build, strategy, path, identity):
        """How many of the replays show it."""
        try:
            told = self._judge.replays(build, strategy, path, self._replays)
        except judge.CannotJudge as error:
            self._complain(strategy, error)
            return 0
        return sum(other is not None and other.identity == identity for other in told)

    def _complain(self, strategy, error):
        problem = "%s: %s" % (strategy, error)
        if problem not in self.problems:
            self.problems.append(problem)

    def _minimal(self, suspect, path, verdict, wanted=None):
        """The smallest program that all replays confirm: (the case that it has already, its path, its
        verdict). It may show the property elsewhere, so under another identity, unless one is
        `wanted`."""
        strategy, minimal = suspect.strategy, path + ".min"
        smaller = self._judge.minimise(strategy, path, verdict, minimal,
                                       min(_MINIMISE_LATE, self._minimise) if self._late
                                       else self._minimise)
        identity = (strategy, *smaller.identity)
        case = self._book.find(identity)
        if case and case.settled and not wanted:
            return case, minimal, smaller
        # One that was stored when the machine died, before the history knew it.
        stored = self._book.unstored(identity)
        for candidate in ([stored.path] if stored else []) + [minimal]:
            if wanted in (None, identity) and self._same(
                    smaller.build, strategy, candidate, smaller.identity) == self._replays:
                if candidate != minimal:
                    smaller = self._judge.once(smaller.build, strategy, candidate) or smaller
                return case, candidate, smaller
        return None, path, verdict

    def _new_case(self, suspect, verdict):
        return casebook.Case(results.Finding(
            name="", strategy=suspect.strategy, property=verdict.property,
            signature=verdict.signature))

    def _store(self, case, path, verdict, same, aliases=()):
        """The case's files, from a program."""
        finding, strategy = case.finding, case.finding.strategy
        with open(path, "rb") as f:
            data = f.read()
        finding.diagnosis, finding.site = verdict.diagnosis, verdict.site
        finding.operations, finding.build = verdict.operations, verdict.build
        finding.tier = judge.TIER
        self._book.judge(case, self._replays, same)
        finding.text = self._judge.text_form(strategy, path, verdict, self._scratch)
        story = self._judge.story(strategy, path, verdict.build)
        line = guilty.locate(self._judge, finding, path, story) or guilty.Line()
        finding.file, finding.line = line.file, line.line or None
        finding.function, finding.guilty = line.function, line.words
        self._book.add(case, data, aliases, story=story,
                       c_program=self._judge.c_form(strategy, path, verdict),
                       explanation=self._explanation(finding, path) if story else "")

    def _explanation(self, finding, path):
        """Without the line that names the file."""
        try:
            told = self._judge.explanation(finding.strategy, path, finding.build)
        except judge.CannotJudge:
            return ""
        return told.split("\n\n", 1)[-1]

    def _close(self, case, everyone):
        """The history gets to know it."""
        finding, suspect = case.finding, everyone[0] if everyone else None
        if suspect and finding.seconds is None:
            finding.engine, finding.sanitizer = suspect.engine, suspect.sanitizer
            finding.executions, finding.seconds = suspect.executions, suspect.seconds
        if self._book.record(case, everyone):
            self._on_finding(finding)
        self._findings = self._book.findings

    # ## A suspect that no build of assay shows

    def _doubt(self, suspect, path):
        """Replays may show it yet, some of them; else it is a finding on the engine's word alone."""
        property_id, diagnosis, log = self._word_of(suspect, path)
        identity = (suspect.strategy, property_id, _word(property_id, diagnosis))
        case = self._book.find(identity)
        if suspect.data is not None and not (case and case.settled):
            verdict = self._late_verdict(suspect, path)
            if verdict:
                self._solve((suspect.strategy, *verdict.identity), [(None, suspect, path, verdict)])
                return
        replays = self._replays if suspect.data is not None else 0
        if case is None:
            case = casebook.Case(results.Finding(
                name="", strategy=suspect.strategy, property=property_id, signature=identity[2],
                diagnosis=diagnosis or "%s said so; replays are clean" % suspect.engine,
                tier=judge.TIER, build=judge.ASAN, text=log[-4000:]))
            self._book.judge(case, replays, 0)
            self._book.add(case, suspect.data or b"", log=log or "(the engine left no log)\n")
        elif not case.here:
            self._book.judge(case, replays, 0)
        self._close(case, [suspect])

    def _word_of(self, suspect, path):
        """What the engine says: (property, diagnosis, log)."""
        property_id, diagnosis, log = suspect.property, suspect.diagnosis, suspect.log
        if suspect.data is not None and not property_id and suspect.kind == "crash":
            # AFL++ keeps no log: the fuzz target itself may tell.
            failed, log = judge.replay_log(
                suspect.target, self._environments.get(suspect.strategy, {}), path)
            match = _ASSERTION.search(log) if failed else None
            property_id = match.group(1) if match else ""
            match = _ERROR.search(log)
            diagnosis = match.group(1) if match else ""
        return property_id or suspect.kind, diagnosis, log

    def _late_verdict(self, suspect, path):
        """The first of some more replays that is not clean, or None. A hang's have taken long."""
        if suspect.kind in ("hang", "out-of-memory"):
            return None
        try:
            for _ in range(self._replays - 1):
                verdict = self._judge.verdict(suspect.strategy, path, suspect.sanitizer)
                if verdict:
                    return verdict
        except judge.CannotJudge as error:
            self._complain(suspect.strategy, error)
        return None

    # ## What earlier campaigns stored

    def replay_stored(self, strategies, stop=lambda: False):
        """Runs the findings of earlier campaigns again: each is still there, or fixed. What this
        campaign knows of already is left out, so that it may be called again."""
        for case in self._book.cases():
            if stop():
                return
            if case.here or case.on_a_word or case.finding.strategy not in strategies:
                continue
            while not self._lock.acquire(timeout=0.5):
                if stop():
                    return
            self._cut = stop
            try:
                if not case.here:
                    self._replay(case)
            except judge.CannotJudge as error:
                self._complain(case.finding.strategy, error)
            except judge.Stopped:
                return
            finally:
                self._cut = None
                self._lock.release()

    def _replay(self, case):
        finding = case.finding
        try:
            with open(finding.path, "rb") as f:
                data = f.read()
        except OSError as error:
            self._complain(finding.path, error.strerror)
            return
        told = self._judge.replays(finding.build, finding.strategy, finding.path, self._replays)
        shown = [verdict for verdict in told if verdict]
        same = sum(verdict.identity == (finding.property, finding.signature) for verdict in shown)
        fixed = ""
        if not shown:
            if case.formerly == results.FIXED:
                return    # that was told then
            fixed = "its program is clean now"
        elif len(shown) == self._replays and not same:
            # It fails otherwise: that is a finding of its own.
            fixed = "its program shows %s %s now" % shown[0].identity
            self.report(suspects.Suspect(finding.strategy, "corpus", "crash", data, "",
                                         property=shown[0].property, diagnosis=shown[0].diagnosis,
                                         sanitizer="none", job=self._campaign.job(
                                             (finding.strategy, "corpus", "none"))))
        self._book.judge(case, self._replays, same, fixed)
        self._close(case, [])


def _word(property_id, diagnosis):
    """The signature of what only an engine said."""
    return "%08x" % zlib.crc32(("%s %s" % (property_id, suspects.place(diagnosis))).encode())
