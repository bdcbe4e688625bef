"""What ci/fuzz and ci/overnight have in common: one process's run of a campaign.

The folder is claimed, what a killed predecessor left there is accounted for, programs are built and
copied, and then the campaign's phases follow each other, ending in the reports. Subclasses say which
phases there are, and who fuzzes next.
"""
import glob
import json
import math
import os
import sqlite3
import sys
import time
import traceback

from ci import campaign as campaigns
from ci import corpora, detective, judge, process, provenance, quotas, recovery, run_folder
from ci import shares, supervisor, workbench
from ci.workbench import CannotRun, shown
from reports import catalogue, files, results, terminal
from reports.history import HistoryError

# What a line that tells of a finding begins with.
_FOUND = {results.KNOWN_ONE: "known finding", results.FLAKY: "flaky finding",
          results.FIXED: "fixed finding"}


class FuzzingRun:
    """One run, from options to results. `options` has `plant`, `prebuilt`, `out`, `jobs`, `seed`."""

    COMMAND = ""
    # The folder in corpus/ whose inputs are replayed, but too slow for an engine to start from.
    BESIDES = ""

    def __init__(self, options, status, interrupt):
        self.options = options
        self.status = status
        self.interrupt = interrupt
        self.bench = workbench.Workbench(options.prebuilt)
        self.plant = ""
        self.strategies = self.engines = ()
        self.found = []
        self.folder = self.history = self.campaign = None
        self.assay = self.corpora = self.sleuth = self.chief = None
        self.jobs = {}           # results.Job by key
        self.report = []         # paths
        self._paths = {}         # of the fuzz targets by key, below bazel-bin
        self.programs = {}       # and their copies
        self.environments = {}   # of the targets, by strategy
        self.known = None        # findings that are accepted

    # What subclasses say.

    def choose(self):
        """Sets `plant`, `strategies` and `engines`; the programs `assay` are built."""
        raise NotImplementedError

    def keys(self):
        """The jobs: (strategy, engine, sanitizer)."""
        return workbench.jobs(self.strategies, self.engines)

    def plan(self):
        """What there is to do before anything is built: choose shares, and say so."""

    def seconds_asked(self):
        raise NotImplementedError

    def limits(self):
        """quotas.Limits."""
        return quotas.Limits(free=quotas.MIB)    # as much as there is

    def begin(self):
        """Sets `campaign`, a new one or one to be resumed."""
        killed = campaigns.close_killed(self.history)
        if killed:
            self.status.say("the last campaign in %s was cut off; what it had found is kept" %
                            shown(self.folder.path))
        self.campaign = campaigns.Campaign.begin(
            self.history, self.folder, self.COMMAND, seconds_asked=self.seconds_asked(),
            cores=self.options.jobs, seed=self.options.seed, assay=self.version(),
            options=self.options_to_resume(), plant=self.plant)

    def options_to_resume(self):
        """And `about`, lines that say what is tested, for the head of the reports."""
        return {}

    def prologue(self):
        """Prints what is to be read before the report."""

    def epilogue(self, outcome):
        """Prints what is to be read after it."""

    def phases(self):
        """Carries out what the campaign consists of."""
        raise NotImplementedError

    # The course of it.

    def prepare(self):
        """Claims the folder and builds; knows then what there is to fuzz."""
        self.folder = run_folder.RunFolder(self.options.out)
        try:
            self.history = campaigns.open_history(self.folder, self.status.say)
        except OSError as error:
            raise CannotRun(run_folder.explain(error, self.folder.path)) from error
        except HistoryError as error:
            raise CannotRun(str(error)) from error
        self.before_building()
        if not self.options.prebuilt:
            try:
                workbench.set_up()
            except CannotRun as error:
                self.status.say(str(error))    # what needs it will say so
            self.status.say("building (from nothing this takes a minute or two)")
        self.bench.build(["//:assay", "//:assay_asan"])
        self.choose()
        self.jobs = {key: results.Job(*key[:2], sanitizer=key[2]) for key in self.keys()}
        self.plan()
        self.bench.build(["//:" + build for build in self._builds()])
        self._build_targets()

    def before_building(self):
        """The folder is claimed, and its history is open."""

    def _builds(self):
        """Those of assay that judge."""
        return judge.needed({sanitizer for _, _, sanitizer in self.jobs})

    def _build_targets(self):
        """Without a compiler for one engine, the others go on."""
        paths = {key: self.target_path(key) for key in self.jobs}
        wanted = {workbench.label_of(path): path for path in paths.values()}
        if any(key[1] == "afl" for key in self.jobs):
            wanted[workbench.label_of(workbench.MUTATOR)] = workbench.MUTATOR
        failed, said = self.bench.build_what_can(wanted)
        if said:
            sys.stderr.write(said)
        lost = {wanted[label] for label in failed}
        self._paths = {key: path for key, path in paths.items() if path not in lost and (
            key[1] != "afl" or workbench.MUTATOR not in lost)}
        if not self._paths:
            raise CannotRun("%s: the build did not make %s" % (
                ", ".join(failed), "it" if len(failed) == 1 else "them"))

        later = self.programs_of_phases()
        if later and not self.options.prebuilt:
            self.bench.build_what_can(later)     # what is missing, its phase will say

    def target_path(self, key):
        """The fuzz target of a job below bazel-bin."""
        return workbench.target_path(*key[:2], bool(self.plant), key[2])

    def detection(self):
        """Further settings of the detective."""
        return {}

    def programs_of_phases(self):
        """What phases after the fuzzing need, {label: path below bazel-bin}: built before it, so
        that their time is not spent on that."""
        return {}

    def close(self):
        """Gives the folder up, whatever happened."""
        process.kill_marked(b"ASSAY_RUN=%d." % os.getpid())    # that programs left behind
        if self.history:
            self.history.close()
        if self.folder:
            self.folder.release()

    def fuzz(self):
        """Returns the results."""
        self.interrupt.install()
        quotas.limit_children()
        try:
            return self._fuzz()
        except OSError as error:
            raise CannotRun(run_folder.explain(error, self.folder.path)) from error

    def version(self):
        return workbench.source_version()

    def stopped(self):
        return bool(self.interrupt.name) or bool(self.plant and self.found)

    def _on_finding(self, finding):
        self.found.append(finding)
        self.status.say("%s: %s: %s%s\n    %s" % (
            _FOUND.get(finding.status, "finding"), finding.strategy, finding.property,
            ", stored before" if finding.status == results.NEW and finding.known else "",
            shown(finding.path)))

    def _fuzz(self):
        self.begin()
        self.status.file = self.folder.join("status.json")
        self.status.about = {"command": self.COMMAND, "campaign": self.campaign.uuid}
        self.campaign.versions(self.version(), {
            strategy: provenance.source_hash(strategy) for strategy in self.strategies})
        catalogue.store(self.history, self.campaign.id,
                        json.loads(self.bench.assay("list", "--json")))
        if not self.plant:
            for strategy in self.strategies:     # the first rows of all reports
                self.campaign.job((strategy, "corpus", "none"))
        self._set_out()
        error = None
        try:
            self.phases()
        except (OSError, CannotRun, HistoryError) as failure:
            error = failure
        except Exception as failure:  # pylint: disable=broad-except
            # What was found until then must be told.
            traceback.print_exc()
            error = failure
        self.status.clear()
        if self.sleuth.waiting and not self.sleuth.error:
            self.status.say("judging what was found last")
        self.sleuth.finish(self.patience())
        return self._finish(error or self.sleuth.error)

    def _set_out(self):
        """Copies the programs, and makes whoever works with them."""
        folder = self.folder
        builds = {build: build + ".elf" for build in self._builds()}
        wanted = set(self._paths.values()) | set(builds.values())
        if any(key[1] == "afl" for key in self._paths):
            wanted.add(workbench.MUTATOR)
        copies = self.bench.copy(sorted(wanted), folder.join("tmp", "programs"))
        programs = self.programs = {key: copies[path] for key, path in self._paths.items()}
        self.assay = judge.Judge({build: copies[path] for build, path in builds.items()})
        # Whatever the user's own environment says: verdicts are made in this tier.
        environments = self.environments = {
            strategy: {"ASSAY_STRATEGY": strategy, "ASSAY_TIER": judge.TIER}
            for strategy in self.strategies}
        self.sleuth = detective.Detective(self.assay, self.campaign, environments,
                                          self._on_finding, self.known, **self.detection())
        recovery.recover(self.history, folder, self.sleuth.report, programs)
        regression = os.path.join(workbench.ROOT, "corpus", "regression")
        self.corpora = corpora.Corpora(folder, self.strategies, lambda strategy: [
            workbench.seed_folder(strategy), regression])
        self.chief = supervisor.Supervisor(
            self.campaign, self.jobs, programs, self.corpora, self.sleuth, self.status,
            seed=self.options.seed, environments=environments,
            mutator=copies.get(workbench.MUTATOR, ""), stop=self.stopped, limits=self.limits())

    def phase(self, name, work):
        """Carries out a phase, unless an earlier run of the campaign has; begun anew if that was
        killed in it."""
        if self.campaign.phase(name) in ("done", "skipped"):
            return
        self.campaign.set_phase(name, "begun")
        self.status.phase(name)
        start = time.monotonic()
        note = work() or ""
        if self.sleuth.error:
            raise self.sleuth.error      # the phase is still begun: whoever resumes goes on with it
        broken = self.broken()
        self.campaign.set_phase(name, "begun" if broken else "done", time.monotonic() - start,
                                note=broken or note)

    def broken(self):
        """What ended the campaign before its time, or ''."""
        return "stopped by " + self.interrupt.name if self.interrupt.name else self.chief.ended

    def replay(self, seconds=math.inf):
        """What there is time for."""
        end = time.monotonic() + seconds
        besides = os.path.join(
            glob.escape(workbench.ROOT), "corpus", self.BESIDES, "*") if self.BESIDES else ""
        corpora.replay(self.campaign, self.corpora, self.sleuth, self.assay,
                       lambda: self.stopped() or time.monotonic() >= end,
                       sorted(glob.glob(besides)))

    def settle(self, until=math.inf):
        """Waits until the detective has dealt with what was found, or the campaign's clock shows
        `until`: then it goes on beside what comes next."""
        if self.sleuth.waiting:
            self.status.say("minimising what was found last")
        while self.sleuth.waiting and not self.sleuth.error and not self.broken() \
                and self.campaign.clock() < until:
            time.sleep(0.1)

    def patience(self):
        """Seconds at the end for what has not been judged yet; the rest waits on the disk."""
        return math.inf

    def _finish(self, error):
        """Ends the campaign and writes the reports; returns the results."""
        told = ""
        self.status.phase("report")
        if error:
            self.folder.drop_ballast()
            told = run_folder.explain(error, self.folder.path)
        elif self.chief.ended:
            told = self.chief.ended
        elif self.sleuth.waiting:
            told = "%s for a verdict, which the next campaign in this folder gives" % (
                "a suspect waits" if self.sleuth.waiting == 1 else
                "%d suspects wait" % self.sleuth.waiting)
        elif self.sleuth.problems:
            told = "a finding could not be judged: %s" % self.sleuth.problems[0]
        try:
            self.campaign.end(self.interrupt.name, told,
                              bool(error or self.chief.ended or self.sleuth.waiting))
        except (OSError, HistoryError, sqlite3.Error) as failure:
            told = told or run_folder.explain(failure, self.folder.path)
        outcome = results.Results.from_history(
            self.history, self.campaign.id, shown(self.folder.path))
        outcome.error = outcome.error or told
        outcome.stopped = outcome.stopped or self.interrupt.name
        try:
            self.report = [shown(path) for path in self.write_reports(outcome)]
        except Exception as failure:  # pylint: disable=broad-except
            # The terminal still gets it.
            if not isinstance(failure, OSError):
                traceback.print_exc()
            outcome.error = outcome.error or run_folder.explain(failure, self.folder.path)
        self.status.phase("ended")
        return outcome

    def write_reports(self, outcome):
        """Returns the paths."""
        return files.write_all(outcome, self.folder.path, self.campaign.path)

    def _tell(self, outcome):
        self.prologue()
        print(terminal.render(outcome))
        self.epilogue(outcome)
        if self.report:
            print("report: " + " ".join(self.report))

    def carry_out(self):
        """All of it, for main(): returns the exit code. Whatever happens, it is none that means
        something else, as Python's own would be."""
        code, name = results.EXIT_CODES[results.COULD_NOT_RUN], "ci/" + self.COMMAND
        try:
            try:
                self.prepare()
                outcome = self.fuzz()
                self._tell(outcome)
                return outcome.exit_code
            finally:
                self.close()
        except (CannotRun, shares.TooShort, HistoryError) as error:
            self.status.clear()
            print("%s: %s" % (name, error), file=sys.stderr)
        except KeyboardInterrupt:
            print("%s: interrupted before the fuzzing began" % name, file=sys.stderr)
        except Exception as error:  # pylint: disable=broad-except
            self.status.clear()
            traceback.print_exc()
            print("%s: %s" % (name, run_folder.explain(error, self.options.out)), file=sys.stderr)
        return code
