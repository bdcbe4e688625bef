#!/usr/bin/env python3
"""Prints `N passed, N failed`, in test targets, for one run of `bazel test`.

usage: count_tests.py EVENTS.json EXIT_CODE

The run's own event file says which test targets belong to it: bazel-testlogs also holds results of
earlier runs. Whether a target passed is read from its JUnit file. A test that could not be built
failed. One whose JUnit file says that it was skipped did neither, and is told in a line before. Exit
codes: 0 all passed, 1 some failed, 2 nothing ran.
"""
import json
import sys
import urllib.parse
import xml.etree.ElementTree as ET

def read_events(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            # A run that was killed leaves half a line behind.
            try:
                yield json.loads(line)
            except ValueError:
                return


def local_path(uri):
    """The path that a file: URI names."""
    return urllib.parse.unquote(urllib.parse.urlparse(uri).path)


def junit_passed(uri):
    """True if the JUnit file at a file: URI counts tests and names no failure."""
    try:
        root = ET.parse(local_path(uri)).getroot()
    except (OSError, ET.ParseError):
        return False
    cases = list(root.iter("testcase"))
    bad = [case for case in cases
           if case.find("failure") is not None or case.find("error") is not None]
    return bool(cases) and not bad


def collect(path):
    """Returns the labels of all test targets of the run, and {label: passed}."""
    targets, results = set(), {}
    for event in read_events(path):
        identity = event.get("id", {})
        if "targetConfigured" in identity:
            if event.get("configured", {}).get("targetKind", "").endswith("_test rule"):
                targets.add(identity["targetConfigured"]["label"])
        elif "targetCompleted" in identity and "aborted" in event:
            # Skipped by a tag filter, not failed: `bazel test` would not have run it.
            if event["aborted"].get("reason") == "SKIPPED":
                targets.discard(identity["targetCompleted"]["label"])
        elif "testResult" in identity and "aborted" not in event:
            # Aborted are those that ran when Bazel was interrupted: they have no result.
            label = identity["testResult"]["label"]
            result = event.get("testResult", {})
            uris = [output["uri"] for output in result.get("testActionOutput", [])
                    if output.get("name") == "test.xml"]
            passed = result.get("status") == "PASSED" and bool(uris) and junit_passed(uris[0])
            # Several results of one target are its shards.
            results[label] = passed and results.get(label, True)
    return targets, results


def skip_reason(uri):
    """Why the test at a JUnit file was skipped, or None. What a test prints says nothing: Bazel may lose
    the output of one that is over at once."""
    try:
        mark = ET.parse(local_path(uri)).getroot().find(".//testcase/skipped")
    except (OSError, ET.ParseError):
        return None
    return None if mark is None else mark.get("message", "")


def skipped(path):
    """Returns {label: reason} of the tests that only said that this machine cannot run them."""
    reasons = {}
    for event in read_events(path):
        for output in event.get("testResult", {}).get("testActionOutput", []):
            reason = skip_reason(output["uri"]) if output.get("name") == "test.xml" else None
            if reason is not None:
                reasons[event["id"]["testResult"]["label"]] = reason
    return reasons


def main():
    events, code = sys.argv[1], int(sys.argv[2])
    targets, results = collect(events)
    without = {label: why for label, why in skipped(events).items() if results.get(label)}
    failed = sorted(label for label in targets if not results.get(label, False))
    passed = len(targets) - len(failed) - len(without)
    for why in sorted(set(without.values())):
        print("SKIPPED %d tests: %s" % (list(without.values()).count(why), why))
    for label in failed:
        print("FAILED %s%s" % (label, "" if label in results else " (not run)"))
    if code != 0 and not failed:
        # The build broke outside of any test, or before Bazel knew the tests.
        print("FAILED the build (bazel's exit code %d)" % code)
        print("%d passed, 1 failed" % passed)
        return 1
    print("%d passed, %d failed" % (passed, len(failed)))
    return 1 if failed else 2 if not targets else 0


if __name__ == "__main__":
    sys.exit(main())
