#!/usr/bin/env python3
"""The same verdicts in a world without a libc as by the full oracle of the host.

    replay_test.py --assay PROGRAM --world RUNNER --pack PACK [--unfit REASON]...
                   [--only STRATEGY...] [--differs STRATEGY+BUG]...

RUNNER replays the pack, and PROGRAM runs the same programs at tier full; each verdict must be the
same property or invariant. A pack that is damaged or empty must be refused. What RUNNER calls unfit needs a reason that is allowed, and most of the
pack must not be: nine in ten programs where threads alone may make them so, else four in five. With --only, RUNNER has
these strategies alone, and something must be judged on each.
With --differs, what is found of that planted bug need not be the same; it must differ still.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from freestanding import pack  # noqa: E402

LINE = re.compile(r"^(judged|unfit) (\d+) (\S+) (\S+)$")
END = re.compile(r"^pack: (\d+) judged, (\d+) unfit$")


def replay(runner, path):
    """{index: (judged or unfit, strategy, answer)} of what the world says."""
    ran = subprocess.run([runner, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, errors="replace", check=False)
    lines = ran.stdout.replace("\r", "").splitlines()
    answers = {}
    for line in lines:
        found = LINE.match(line)
        if found:
            answers[int(found[2])] = (found[1], found[3], found[4])
    end = END.match(lines[-1]) if lines else None
    if ran.returncode != 0 or not end:
        sys.exit("%s: exit code %d, and at last:\n%s" % (runner, ran.returncode,
                                                        "\n".join(lines[-20:])))
    counts = collections.Counter(answer[0] for answer in answers.values())
    assert (counts["judged"], counts["unfit"]) == (int(end[1]), int(end[2])), (counts, end[0])
    return answers


def accepted(runner, whole):
    """What RUNNER does not refuse, of packs that are none or break off."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pack")
        for what, data in [("an empty pack", b""), ("half of a pack's first word", pack.MAGIC[:4]),
                           ("what is no pack", b"x" + whole[1:60]),
                           ("a pack without entries or an end", pack.MAGIC),
                           ("a pack that breaks off", whole[:60])]:
            with open(path, "wb") as file:
                file.write(data)
            ran = subprocess.run([runner, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 check=False)
            if ran.returncode != 2 or b"pack" not in ran.stdout:
                found.append("%s: exit code %d" % (what, ran.returncode))
    return found


def host_verdicts(assay, entries):
    """{index: verdict} of entries, (index, strategy, program): a process for each strategy."""
    verdicts = {}
    by_strategy = collections.defaultdict(list)
    for index, strategy, program in entries:
        by_strategy[strategy].append((index, program))
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, ASSAY_HANG_MS="500")
        for strategy, programs in by_strategy.items():
            paths = []
            for index, program in programs:
                paths.append(os.path.join(folder, str(index)))
                with open(paths[-1], "wb") as file:
                    file.write(program)
            ran = subprocess.run([assay, "run", "--json", "--quiet", "--strategy", strategy, *paths],
                                 stdout=subprocess.PIPE, text=True, check=False,
                                 env=environment)
            assert ran.returncode in (0, 1), "%s: exit code %d" % (strategy, ran.returncode)
            for line in ran.stdout.splitlines():
                verdict = json.loads(line)
                verdicts[int(os.path.basename(verdict["file"]))] = verdict["verdict"]
    return verdicts


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assay", required=True)
    parser.add_argument("--world", required=True)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--unfit", action="append", default=[], metavar="REASON")
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--differs", action="append", default=[], metavar="STRATEGY+BUG")
    options = parser.parse_args()

    with open(options.pack, "rb") as file:
        whole = file.read()
    entries = pack.decode(whole)
    answers = replay(os.path.abspath(options.world), options.pack)
    judged = {i: answer for i, (word, _, answer) in answers.items() if word == "judged"}
    hosts = host_verdicts(os.path.abspath(options.assay),
                          [(i, *entries[i]) for i in sorted(judged)])

    failures = ["it takes " + what for what in accepted(os.path.abspath(options.world), whole)]
    differing = [i for i in sorted(judged) if judged[i] != hosts[i]]
    failures += ["entry %d, %s: %s here, %s on the host" % (i, entries[i][0], judged[i], hosts[i])
                 for i in differing if "+" not in entries[i][0] or entries[i][0] not in options.differs]
    failures += ["%s does not differ: leave out --differs" % name
                 for name in options.differs if name not in {entries[i][0] for i in differing}]
    failures += ["entry %d is said to be for %s, and is for %s" % (i, name, entries[i][0])
                 for i, (_, name, _) in answers.items() if name != entries[i][0]]
    unfit = collections.Counter(answer for word, _, answer in answers.values() if word == "unfit")
    failures += ["%d programs are unfit for a reason that is not allowed: %s" % (n, reason)
                 for reason, n in unfit.items() if reason not in options.unfit]
    meant = [i for i, (name, _) in enumerate(entries)
             if not options.only or name.split("+")[0] in options.only]
    most = len(meant) // (10 if set(options.unfit) <= {"threads"} else 5)
    if sum(unfit.values()) > most:
        failures.append("%d programs are unfit, and no more than %d may be" % (sum(unfit.values()),
                                                                             most))
    failures += ["entry %d, for %s, was neither judged nor unfit" % (i, entries[i][0])
                 for i in meant if i not in answers]
    names = {entries[i][0] for i in judged}
    failures += ["nothing was judged on %s" % name
                 for name in options.only or [] if name not in names]
    found = sum(verdict != "clean" for verdict in judged.values())
    if not found:
        failures.append("no program shows a bug: what would a difference show in?")
    reasons = ", ".join("%s %d" % item for item in sorted(unfit.items()))
    print("%d judged on %d strategies, of these %d not clean; %d unfit: %s" % (
        len(judged), len(names), found, sum(unfit.values()), reasons or "none"))
    print("\n".join("FAILED: " + failure for failure in failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
