#!/usr/bin/env python3
"""On every strategy each acquisition of each program of the corpus is refused in turn.

    faults_test.py --assay PROGRAM --list LIST
"""
import argparse
import json
import subprocess
import sys


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assay", required=True, help="the program")
    parser.add_argument("--list", required=True, help="names of programs, one on each line")
    arguments = parser.parse_args()
    with open(arguments.list, encoding="utf-8") as file:
        programs = file.read().split()
    names = subprocess.run([arguments.assay, "list", "--names"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    wrong = [] if names and programs else ["nothing to run"]
    for name in names:
        result = subprocess.run([arguments.assay, "faults", "--strategy", name, "--json", *programs],
                                check=False, text=True, stdout=subprocess.PIPE, timeout=250)
        print(result.stdout, end="", flush=True)
        coverage = json.loads(result.stdout.splitlines()[-1])
        runs = coverage["programs"] + 2 * (coverage["acquisitions"] - coverage["out_of_reach"])
        if result.returncode != 0 or not coverage["complete"]:
            wrong.append("%s: exit code %d" % (name, result.returncode))
        if coverage["programs"] != len(programs) or coverage["runs"] != runs:
            wrong.append("%s: not all was covered" % name)
        if coverage["acquisitions"] > 0 and coverage["acquisitions_refused"] == 0:
            wrong.append("%s: nothing was refused" % name)
    for line in wrong:
        print("faults_test: " + line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
