"""What planted bugs say of a campaign's power: fuzzes strategies with a known bug each, as the campaign
fuzzes those without, and stores which of them were killed, and by which property.

A bug is a patch (fuzz/plants/, fuzz/bugs/) that says which properties may report it. A night has time
for some of the bugs only, so each campaign goes on where the ones before it stopped: bugs that were
never measured come first, then those measured on other sources, the longest ago first. Killing or not
is counted within so many executions, so that a loaded machine changes little.
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import bug_catalogue, bug_runs, workbench  # noqa: E402
from ci.workbench import CannotRun  # noqa: E402
from reports import text  # noqa: E402

ENGINE, MUTATOR = "libfuzzer", "operations"

# What a bug gets to be killed in: as in its own test (fuzz/kill.py), and CPU seconds at most.
_EXECUTIONS, _SECONDS = 300000, 120

# One program with all bugs, of which ASSAY_STRATEGY chooses: built once, in the time that a few
# programs with one each would take.
PROGRAM = workbench.target_path("", "libfuzzer", plant=True)


def store(history, campaign, bug, run, version):
    """Enters a run of ci/bug_runs on a Bug, or replaces it."""
    history.upsert(
        "kills", ("campaign", "bug", "engine", "mutator", "seed"), campaign=campaign, bug=bug.name,
        strategy=bug.strategy, expected=" ".join(bug.expect), engine=run["engine"],
        mutator=run["mutator"], seed=run["seed"],
        killed=int(run["end"] == "killed" and run["property"] in bug.expect),
        property=run["property"] or "", executions=run["executions"],
        cpu_seconds=run["cpu_seconds"], assay=version)


class _Journal:
    """Where a Runner notes its runs: in the history, each in a transaction of its own."""

    def __init__(self, history, campaign, bugs, version):
        self._history, self._campaign, self._version = history, campaign, version
        self._bugs = {bug.name: bug for bug in bugs}
        self.runs = []

    def add(self, run):
        with self._history.transaction():
            store(self._history, self._campaign, self._bugs[run["subject"]], run, self._version)
        self.runs.append(run)


def in_turn(history, campaign, bugs, version):
    """[(Bug, seed)] of those that this campaign has not measured, the most urgent first. Of equally
    urgent ones each strategy has one in turn. The seed is one more than the bug has had before: that
    a bug was killed each night is to say more than once."""
    met = {row["bug"]: row for row in history.query(
        "SELECT bug, max(campaign) AS last, max(CASE WHEN assay = ? THEN campaign END) AS same, "
        "max(seed) AS seed FROM kills WHERE engine = ? AND mutator = ? GROUP BY bug",
        version, ENGINE, MUTATOR)}
    waiting, of_strategy = [], {}
    for bug in bugs:
        row = met.get(bug.name)
        if row and row["last"] == campaign:
            continue
        turn = of_strategy[bug.strategy] = of_strategy.get(bug.strategy, 0) + 1
        urgency = (row["same"] is not None, row["last"]) if row else (False, 0)
        waiting.append((urgency, turn, bug.strategy, bug, row["seed"] + 1 if row else 1))
    waiting.sort(key=lambda entry: entry[:3])
    return [(bug, seed) for _, _, _, bug, seed in waiting]


def measure(bench, history, campaign, strategies, seconds, stop, say=lambda line: None, folder=None,
            tree=workbench.ROOT, at_once=None):
    """The phase of a campaign: the bugs of the strategies, as many as there is time for in about
    `seconds` or until `stop()`. `bench`: a Workbench, which builds the program; `folder`: for
    scratch. A bug that the campaign has measured already is not measured again. Returns what was
    left out, or "". CannotRun if nothing was measured."""
    end = time.monotonic() + seconds
    version = workbench.source_version()
    bugs = [bug for bug in bug_catalogue.read(tree, "all") if bug.strategy in strategies]
    problems = [bug.problem for bug in bugs if bug.problem]
    bugs = [bug for bug in bugs if not bug.problem]
    if not bugs:
        return "; ".join(["no bug is planted in these strategies"] + problems)
    waiting = in_turn(history, campaign, bugs, version)
    if not waiting:
        return "; ".join(problems)
    say("power: building the program with %s" % text.count(len(bugs), "planted bug"))
    bench.build([workbench.label_of(PROGRAM)])
    program = bench.program(PROGRAM)
    def job(planned):
        return {"engine": ENGINE, "program": program, "strategy": planned.subject,
                "seed": planned.seed, "seeds": workbench.inputs_of(workbench.seed_folder(planned.subject, tree)), "runs": _EXECUTIONS,
                "cpu_seconds": planned.seconds, "mutator": MUTATOR, "keep": ""}

    journal = _Journal(history, campaign, bugs, version)
    runner = bug_runs.Runner(journal, job, lambda run: True, folder, at_once or os.cpu_count() or 1)
    runner.run([bug_runs.Planned(bug.name, False, ENGINE, MUTATOR, seed, _SECONDS)
                for bug, seed in waiting],
               lambda done, running: say("power: %d of %s measured" % (
                   done, text.count(len(waiting), "planted bug"))),
               lambda: stop() or time.monotonic() >= end)
    problems += list(runner.problems)
    if not journal.runs and len(waiting) == len(bugs):
        raise CannotRun("nothing was measured: " + text.one_line(
            "; ".join(problems) or "the time was over", 400))
    left = len(waiting) - len(journal.runs)
    if left:
        problems.insert(0, "%s of %d not measured, these first the next time" % (
            text.count(left, "planted bug"), len(bugs)))
    return "; ".join(problems)
