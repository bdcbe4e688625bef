#!/usr/bin/env python3
"""Replays every input of a list, each a test case of its own in the JUnit file $XML_OUTPUT_FILE.

First all in one process, since most of the time goes into starting it; and if that does not end well,
each in a process of its own, so that one abort hides no other.
"""
import argparse
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bounded  # noqa: E402
import engines  # noqa: E402

# What XML 1.0 cannot carry, even escaped.
UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")

# Enough of a sanitizer's report to see the culprit.
REPORT_LIMIT = 20000


def replay(program, paths, timeout):
    """Returns (seconds, problem, report); problem is None if the inputs ran clean."""
    start = time.monotonic()
    try:
        result = bounded.run([program] + paths, timeout, stderr=subprocess.STDOUT)
        output, code = result.stdout, result.returncode
    except subprocess.TimeoutExpired as expired:
        output, code = expired.stdout or b"", None
    seconds = time.monotonic() - start
    report = output.decode(errors="replace")
    if code == 0:
        return seconds, None, report
    if code is None:
        return seconds, "took longer than %d s" % timeout, report
    failed = re.search(r"^ASSERTION FAILED: \S+", report, re.MULTILINE)
    ended = "killed by signal %d" % -code if code < 0 else "exit code %d" % code
    return seconds, "%s (%s)" % (failed.group(0), ended) if failed else ended, report


def test_case(suite, class_name, name, seconds, problem, report):
    case = ET.SubElement(suite, "testcase", name=name, classname=class_name, time="%.3f" % seconds)
    if problem:
        failure = ET.SubElement(case, "failure", message=UNPRINTABLE.sub("?", problem))
        failure.text = UNPRINTABLE.sub("?", report[-REPORT_LIMIT:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="takes one input file as its argument")
    parser.add_argument("--inputs", required=True, help="a file that lists the inputs")
    parser.add_argument("--timeout", type=float, default=60, help="seconds per input (%(default)s)")
    options = parser.parse_args()
    target = os.environ.get("TEST_TARGET", os.path.basename(options.program))

    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name=target)
    failures = 0
    start = time.monotonic()
    try:
        inputs = engines.read_list(options.inputs)
        if not inputs:
            raise engines.CannotRun("%s: no inputs to replay" % options.inputs)
        if not os.access(options.program, os.X_OK):
            raise engines.CannotRun("%s: no such program" % options.program)
        program = os.path.abspath(options.program)
        seconds, together, report = replay(program, inputs, options.timeout * len(inputs))
        seconds /= len(inputs)
        for path in inputs:
            problem = None
            if together:
                seconds, problem, report = replay(program, [path], options.timeout)
            test_case(suite, target, path, seconds, problem, report)
            if problem:
                failures += 1
                print("FAILED %s: %s\n%s" % (path, problem, report[-REPORT_LIMIT:]))
        if together and failures == 0:
            failures = 1
            print("FAILED only when all inputs are replayed by one process: " + together)
            test_case(suite, target, "all inputs in one process", seconds, together, report)
    except engines.CannotRun as error:
        inputs = ["set-up"]
        failures = 1
        print("assay: %s" % error)
        test_case(suite, target, "set-up", 0, str(error), "")

    suite.set("tests", str(len(inputs)))
    suite.set("failures", str(failures))
    suite.set("errors", "0")
    suite.set("time", "%.3f" % (time.monotonic() - start))
    if os.environ.get("XML_OUTPUT_FILE"):
        ET.ElementTree(suites).write(
            os.environ["XML_OUTPUT_FILE"], encoding="utf-8", xml_declaration=True)
    print("%d inputs, %d failed" % (len(inputs), failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
