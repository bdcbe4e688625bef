"""The report as SARIF 2.1.0 (OASIS 2020), for code hosts and editors: a rule for each property, a result
for each finding, at the guilty line where that is known."""
import hashlib
import json
import math
import re

from reports import results as R
from reports import text

SCHEMA_URI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

# What SARIF takes for a GUID.
_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                   re.IGNORECASE)

# Paths are from the sources' root, wherever that is.
_ROOT = "SRCROOT"

_LEVELS = {R.NEW: "error", R.FLAKY: "warning", R.KNOWN_ONE: "note", R.FIXED: "none"}


def fingerprint(finding):
    """The same for the same identity, in each campaign and on each machine."""
    identity = "\0".join((finding.strategy, finding.property, finding.signature))
    return hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _message(value, limit=1000):
    return {"text": text.one_line(value, limit) or "no text"}


def _sentence(value):
    value = text.one_line(value, 600)
    return value[:1].upper() + value[1:] + ("" if value.endswith(".") else ".")


def _rules(results):
    """All properties, whether violated or not, and invariants and others that were found."""
    texts = {property_.id: property_.text for property_ in results.properties}
    for finding in results.findings:
        texts.setdefault(finding.property, results.property_text(finding.property))
    rules = []
    for name, told in texts.items():
        told = told or "Property of the oracle: " + name
        rules.append({
            "id": text.one_line(name), "name": "".join(
                part.capitalize() for part in text.one_line(name).replace(":", "-").replace(
                    ".", "-").split("-")),
            "shortDescription": {"text": _sentence(told)},
            "fullDescription": {"text": _sentence(told)},
            "help": {"text": "%s Assay ran a program of allocations, releases and the like on the "
                             "allocator, and beside it on a model that knows only what was asked for "
                             "and answered. The finding has the smallest program that shows it; "
                             "`ci/repro FILE` explains it operation by operation." % _sentence(told)},
            "defaultConfiguration": {"level": "error"},
            "properties": {"tags": ["memory-allocator", "correctness"]}})
    return rules


def _location(finding, sources):
    location = {}
    logical = {"fullyQualifiedName": text.one_line(finding.strategy), "kind": "module"}
    if finding.function:
        logical = {"name": text.one_line(finding.function), "kind": "function",
                   "fullyQualifiedName": text.one_line(
                       "%s::%s" % (finding.strategy, finding.function))}
    location["logicalLocations"] = [logical]
    # Where only the strategy is known, its own file: code hosts show no result without one.
    uri = finding.file or sources.get(finding.strategy, "")
    if uri:
        location["physicalLocation"] = {"artifactLocation": {"uri": _uri(uri), "uriBaseId": _ROOT}
                                        if not uri.startswith("/") else {"uri": "file://" + _uri(uri)}}
        if finding.file and finding.line and finding.line > 0:
            location["physicalLocation"]["region"] = {"startLine": finding.line}
    return location


def _uri(path):
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 or chr(byte) in "/._-~+"
                   else "%%%02X" % byte
                   for byte in path.replace("\\", "/").encode("utf-8", "backslashreplace"))


def _markdown(finding):
    from reports import markdown
    lines = [markdown.escape(finding.diagnosis), ""]
    if finding.text:
        lines += markdown.block(finding.text) + [""]
    if finding.commands:
        lines += markdown.block("\n".join(finding.commands.values()), "sh")
    return "\n".join(lines)


def _result(finding, index, sources, collections, compared):
    message = "%s: %s" % (finding.strategy, finding.diagnosis or finding.property)
    if finding.commands.get("repro"):
        message += " (reproduce: %s)" % finding.commands["repro"]
    result = {
        "ruleId": text.one_line(finding.property), "ruleIndex": index,
        "kind": "pass" if finding.status == R.FIXED else "fail", "level": _LEVELS[finding.status],
        "message": dict(_message(message), markdown=_markdown(finding)),
        "locations": [_location(finding, sources)],
        "partialFingerprints": {"assayIdentity/v1": fingerprint(finding)},
        "occurrenceCount": max(1, sum(finding.inputs.values())),
        "properties": {"status": finding.status, "strategy": text.one_line(finding.strategy),
                       "kind": "collection" if finding.strategy in collections else "strategy",
                       "signature": text.one_line(finding.signature),
                       "program": text.one_line(finding.path, 4096),
                       "operations": finding.operations, "replays": finding.replays}}
    if finding.since:
        result["provenance"] = {"firstDetectionTimeUtc": finding.since}
    if compared:
        result["baselineState"] = (
            "absent" if finding.status == R.FIXED else
            "new" if finding.before in ("", R.FIXED) else "unchanged")
    # Empty: it was looked at, and is not suppressed.
    result["suppressions"] = [{
        "kind": "external", "status": "accepted",
        "justification": text.one_line("%s (accepted until %s)" % (
            finding.reason or "accepted", finding.expires or "further notice"), 1000)
    }] if finding.status == R.KNOWN_ONE else []
    return result


def _invocation(results):
    """What could not run is told here: a code host would take silence for clean."""
    told = [("note", line, "") for line in results.about]
    told += [("error", "%s: %s" % (text.job_name(job), job.problem or "executed nothing"), job.strategy)
            for job in results.jobs if job.verdict == R.COULD_NOT_RUN]
    told += [("error", "phase %s failed: %s" % (phase.name, phase.note), "")
             for phase in results.failed_phases]
    if results.error:
        told.append(("error", results.error, ""))
    if not results.ran and len(told) == len(results.about):
        told.append(("error", text.summary(results), ""))
    told += [("warning", "%s: %s" % (text.job_name(job), job.note), job.strategy)
             for job in results.jobs if job.note and job.verdict != R.COULD_NOT_RUN]
    told += [("warning", "%s was never exercised" % cell.property, cell.strategy)
             for cell in results.matrix if cell.state == "never exercised"]
    invocation = {
        "executionSuccessful": results.ran, "exitCode": results.exit_code,
        "toolExecutionNotifications": [
            {"level": level, "message": _message("%s: %s" % (strategy, line) if strategy else line)}
            for level, line, strategy in told]}
    for key, value in (("startTimeUtc", results.started), ("endTimeUtc", results.ended)):
        if value:
            invocation[key] = value
    return invocation


def document(results):
    rules = _rules(results)
    index = {rule["id"]: i for i, rule in enumerate(rules)}
    sources = {strategy.name: strategy.file for strategy in results.strategies}
    collections = {strategy.name for strategy in results.strategies if strategy.collection}
    details = {"id": "assay/%s/%s" % (results.command or "fuzz", results.campaign)}
    run = {
        "tool": {"driver": {"name": "Assay", "version": results.version or "unknown",
                            "rules": rules}},
        "automationDetails": details,
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The top folder of Assay's sources."}}},
        "columnKind": "utf16CodeUnits",
        "invocations": [_invocation(results)],
        "results": [_result(finding, index[text.one_line(finding.property)], sources, collections,
                            bool(results.baseline)) for finding in results.findings],
        "properties": {"verdict": results.verdict, "executions": results.executions,
                       "seconds": round(results.seconds, 3) if math.isfinite(results.seconds)
                       else None}}
    if results.baseline and _is_uuid(results.baseline.uuid):
        run["baselineGuid"] = results.baseline.uuid
    if _is_uuid(results.campaign):
        details["guid"] = results.campaign
    return {"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}


def _is_uuid(value):
    return _UUID.fullmatch(value) is not None


def render(results):
    """Returns the document as text."""
    return json.dumps(document(results), indent=2, allow_nan=False) + "\n"
