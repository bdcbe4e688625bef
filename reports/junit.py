"""The report as JUnit XML: a test case for each property of each job, where a job is a strategy on an
engine with a sanitizer, and a collection counts as one.

A finding is a failure; one that is accepted is skipped, and so is a check that never ran, each with a
message that says so: neither passes. Each job has one more case, `runs`, which is an error if it could
not run.
"""
import xml.etree.ElementTree as ET

from reports import matrix, text
from reports import results as R

# The case that says whether the job ran.
RUNS = "runs"

# Of a minimal program, in an attribute that some viewers show in one line.
_LIMIT = 2000


def class_name(job, collection=False):
    """`assay.<strategy>.<engine>.<sanitizer>`; collections have a package of their own."""
    parts = ["assay"] + ["collections"] * collection + [job.strategy, job.engine]
    return text.printable(".".join(parts + [job.sanitizer] * bool(job.sanitizer)))


def _details(finding):
    """What a reader of a failed test case needs: diagnosis, program, command."""
    lines = [finding.diagnosis, "found by " + text.how_found(finding), text.standing(finding)]
    if finding.file:
        lines.append("at: " + text.location(finding))
    lines += ["file: " + finding.path]
    lines += ["%s: %s" % item for item in finding.commands.items()]
    if finding.text:
        lines += ["", finding.text]
    return text.printable("\n".join(line for i, line in enumerate(lines) if line or i > 3))


def _message(finding):
    """With the minimal program: it is what many viewers show and no more."""
    line = text.one_line("%s: %s [%s]" % (finding.property, finding.diagnosis, finding.signature), 400)
    program = text.printable(finding.text).strip()
    if not program:
        return line
    if len(program) > _LIMIT:
        program = program[:_LIMIT] + "\n(%s more)" % text.count(len(program) - _LIMIT, "character")
    return "%s\n%s" % (line, program)


class _Suite:
    """Counts what it holds."""

    def __init__(self):
        self.counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
        self.cases = []

    def case(self, classname, name, seconds=0.0):
        case = ET.Element("testcase", classname=classname, name=text.printable(name),
                          time="%.3f" % seconds)
        self.cases.append(case)
        self.counts["tests"] += 1
        return case

    def outcome(self, case, kind, message, body="", **attributes):
        """Enters failure, error or skipped; a case counts once, as what it has first."""
        if all(case.find(other) is None for other in ("failure", "error", "skipped")):
            self.counts[{"failure": "failures", "error": "errors"}.get(kind, kind)] += 1
        element = ET.SubElement(case, kind, message=message, **attributes)
        element.text = body or None

    def findings(self, case, findings):
        """True: there are some."""
        for finding in sorted(findings, key=lambda finding: finding.status not in R.OPEN):
            if finding.status in R.OPEN:
                self.outcome(case, "failure", _message(finding), _details(finding),
                             type=text.printable(finding.property))
            else:
                self.outcome(case, "skipped", text.one_line(
                    "%s: %s" % (text.standing(finding), finding.diagnosis), 600), _details(finding))
        return bool(findings)


def _runs(suite, group, job):
    case = suite.case(group, RUNS, job.seconds)
    if job.verdict == R.COULD_NOT_RUN:
        # `error`, not `failure`: nothing is known about the strategy.
        suite.outcome(case, "error", text.one_line(job.problem or "executed nothing", 400),
                      text.printable(job.problem), type="could-not-run")
    elif job.not_started:
        suite.outcome(case, "skipped", "not started: the run was stopped")
    out = ET.SubElement(case, "system-out")
    out.text = "%s, coverage %s, corpus %s%s" % (
        text.count(job.executions, "execution"), text.number(job.coverage),
        text.number(job.corpus), "; " + text.one_line(job.note) if job.note else "")
    return case


def _never(job):
    if not job.executions:
        return "never exercised: the job executed nothing"
    if not job.exercised:
        return "not counted: %s, but what they exercised is not known" % text.count(
            job.executions, "execution")
    return "never exercised, in " + text.count(job.executions, "execution")


def _check(suite, group, job, cell, found):
    """The case of one property; none where it does not apply, and nothing was found either."""
    times = job.exercised.get(cell.property, 0)
    # A replay does not count what it exercises: of each property, that would be told.
    uncounted = job.engine == "corpus" and not job.exercised
    if (cell.state == matrix.NOT_APPLICABLE or uncounted) and not found:
        return
    case = suite.case(group, cell.property)
    if not suite.findings(case, found) and not times:
        suite.outcome(case, "skipped", _never(job))
    out = ET.SubElement(case, "system-out")
    out.text = "exercised %s by this job%s" % (
        text.count(times, "time"), "; weak: " + text.one_line(cell.why) if cell.survived else "")


def _job(suite, job, results, collections, told):
    """`told`: names of findings that have a case."""
    names = set(job.findings) | set(job.known_findings)
    mine = [finding for finding in results.findings
            if finding.name in names and finding.strategy == job.strategy]
    group = class_name(job, job.strategy in collections)
    runs = _runs(suite, group, job)
    cells = [cell for cell in results.matrix if cell.strategy == job.strategy]
    for cell in cells:
        _check(suite, group, job, cell, [finding for finding in mine if finding.family == cell.property])
    # Without a matrix they have no case of their own.
    listed = {cell.property for cell in cells}
    suite.findings(runs, [finding for finding in mine if finding.family not in listed])
    told.update(finding.name for finding in mine)


def _campaign(suite, results):
    for phase in results.failed_phases:
        suite.outcome(suite.case("assay.campaign", phase.name, phase.seconds), "error",
                      text.one_line(phase.note, 400) or "failed", type="phase-failed")
    if results.error:
        suite.outcome(suite.case("assay.campaign", "error"), "error",
                      text.one_line(results.error, 400), type="broken-off")
    if not results.ran and not suite.counts["errors"]:
        # As where no job had its turn, or the campaign was killed: without a word it would pass.
        suite.outcome(suite.case("assay.campaign", "verdict"), "error",
                      text.one_line(text.summary(results), 400), type="could-not-run")


def render(results):
    """Returns the document as bytes."""
    suite, told = _Suite(), set()
    collections = {strategy.name for strategy in results.strategies if strategy.collection}
    for job in results.jobs:
        _job(suite, job, results, collections, told)
    for finding in results.findings:
        # One that no job of this campaign hit, but a replay still shows.
        if finding.name not in told and finding.status != R.FIXED:
            suite.findings(suite.case(text.printable("assay." + finding.strategy), finding.property),
                           [finding])
    _campaign(suite, results)
    counts = {key: str(value) for key, value in suite.counts.items()}
    root = ET.Element("testsuites", counts)
    element = ET.SubElement(root, "testsuite", counts, 
                            name=text.printable("assay." + (results.command or "fuzz")),
                            time="%.3f" % results.seconds,
                            timestamp=text.printable(results.started.rstrip("Z")))
    properties = ET.SubElement(element, "properties")
    for key in ("verdict", "campaign", "cores", "minutes", "seed", "version", "plant", "stopped",
                "error"):
        value = getattr(results, key)
        if value != "":
            ET.SubElement(properties, "property", name=key, value=text.printable(str(value)))
    for line in results.about:
        ET.SubElement(properties, "property", name="about", value=text.one_line(line, 1000))
    element.extend(suite.cases)
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"
