"""The report as JUnit XML: one test case per strategy and engine, its findings as failures."""
import xml.etree.ElementTree as ET

from reports import text


def _details(finding):
    """What a reader of a failed test case needs: diagnosis, program, command."""
    lines = [finding.diagnosis, "found by " + text.how_found(finding)]
    if finding.flaky:
        lines.append("flaky: it was seen, but replays of its program are clean")
    lines += ["file: " + finding.path]
    lines += ["%s: %s" % item for item in finding.commands.items()]
    if finding.text:
        lines += ["", finding.text]
    return text.printable("\n".join(lines))


def _case(suite, job, results):
    case = ET.SubElement(
        suite, "testcase", classname=text.printable("assay.fuzz." + job.strategy),
        name=text.printable("%s on %s" % (job.strategy, text.engine(job.engine))),
        time="%.3f" % job.seconds)
    for name in job.findings:
        finding = results.finding(name)
        if finding is None:
            continue
        failure = ET.SubElement(
            case, "failure", type=text.printable(finding.property),
            message=text.one_line("%s: %s [%s]" % (
                finding.property, finding.diagnosis, finding.signature), 400))
        failure.text = _details(finding)
    if job.verdict == "could not run":
        # `error`, not `failure`: nothing is known about the strategy.
        error = ET.SubElement(case, "error", type="could-not-run",
                              message=text.one_line(job.problem or "executed nothing", 400))
        error.text = text.printable(job.problem)
    if job.not_started:
        ET.SubElement(case, "skipped", message="not started: the run was stopped")
    out = ET.SubElement(case, "system-out")
    out.text = "%s, coverage %s, corpus %s%s" % (
        text.count(job.executions, "execution"), text.number(job.coverage),
        text.number(job.corpus), "; " + text.one_line(job.note) if job.note else "")


def render(results):
    """Returns the document as bytes."""
    verdicts = [job.verdict for job in results.jobs]
    counts = {"tests": str(len(verdicts)), "failures": str(verdicts.count("finding")),
              "errors": str(verdicts.count("could not run"))}
    skipped = str(sum(job.not_started for job in results.jobs))
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", counts, name="assay.fuzz", skipped=skipped,
                          time="%.3f" % results.seconds,
                          timestamp=results.started.rstrip("Z"))
    properties = ET.SubElement(suite, "properties")
    for key in ("cores", "minutes", "seed", "version", "plant", "stopped", "error"):
        value = getattr(results, key)
        if value != "":
            ET.SubElement(properties, "property", name=key, value=text.printable(str(value)))
    for job in results.jobs:
        _case(suite, job, results)
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"
