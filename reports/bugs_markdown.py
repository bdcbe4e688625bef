"""The report of ci/bugs as Markdown, padded so that a terminal shows tables as well."""
from reports import text
from reports.bench_markdown import number, percent, table
from reports.bugs_results import fuzzer_name
from reports.effect import SIGNIFICANT

_NOTHING = "–"


def _seconds(value):
    return "%.3f" % value if value < 0.1 else "%.2f" % value if value < 10 else "%.1f" % value


def _estimate(told, form, limit):
    """`0.12 (0.05–0.31)`; a bound that no kill set is `> limit`."""
    median, found = told["median"], told["interval"]
    line = "> " + limit if median is None else form(median)
    if found:
        low, high = ("> " + limit if x is None else form(x) for x in found)
        line += " (%s–%s)" % (low, high)
    return line


def _value(value, form):
    return "beyond" if value is None else form(value)


def _executions(value):
    return text.number(round(value))


def _killers(properties):
    return ", ".join("%s %d" % item for item in properties.items()) or _NOTHING


def _bug_rows(told, fuzzer):
    bugs = {bug["name"]: bug for bug in told["bugs"]}
    for of_bug in fuzzer["bugs"]:
        expect = bugs[of_bug["name"]]["expect"]
        others = " (%d otherwise)" % (of_bug["other"] + of_bug["unnamed"]) \
            if of_bug["other"] + of_bug["unnamed"] else ""
        yield (of_bug["id"] if of_bug["id"] != of_bug["name"] else _NOTHING, of_bug["name"],
               _killers({key + ("" if key in expect else " (!)"): n
                         for key, n in of_bug["properties"].items()}),
               "%d/%d%s" % (of_bug["killed"], of_bug["runs"], others),
               _estimate(of_bug["executions"], _executions, "all"),
               _estimate(of_bug["cpu_seconds"], _seconds, "%d" % told["seconds"]))


def _fuzzer(told, fuzzer):
    lines = ["## " + fuzzer_name(fuzzer["engine"], fuzzer["mutator"]), ""]
    if fuzzer["bugs"]:
        lines += table(("id", "bug", "killed by", "killed", "executions to kill",
                        "CPU seconds to kill"), _bug_rows(told, fuzzer), left=3) + [""]
        rate = ""
        if fuzzer["rate_interval"]:
            rate = " (95 %% interval %s–%s)" % tuple(percent(x) for x in fuzzer["rate_interval"])
        lines.append("- killed: %d of %d runs, %s%s; %d of %d bugs in every run" % (
            fuzzer["killed"], fuzzer["runs"], percent(fuzzer["killed"] / fuzzer["runs"]), rate,
            fuzzer["always_killed"], len(fuzzer["bugs"])))
        if fuzzer["other"] or fuzzer["unnamed"] or fuzzer["survived"]:
            lines.append("- not: %d survived, %d killed by a property that was not expected (!), %d "
                         "crashed without one" % (fuzzer["survived"], fuzzer["other"],
                                                  fuzzer["unnamed"]))
        medians = fuzzer["median_of_medians"]
        lines.append("- median of the bugs' medians: %s executions, %s s of CPU time" % (
            _value(medians["executions"], _executions), _value(medians["cpu_seconds"], _seconds)))
    control = fuzzer["control"]
    if control["runs"]:
        lines.append("- control: %s on %d clean strategies, %s executions, %s s of CPU time: **%s**" % (
            text.count(control["runs"], "run"), control["strategies"],
            text.number(control["executions"]), number(control["cpu_seconds"]),
            text.count(len(control["findings"]), "false alarm")))
        for run in control["findings"]:
            lines.append("  - FALSE ALARM: %s, seed %d: %s, input in inputs/" % (
                run["subject"], run["seed"], run["property"] or run["note"]))
    else:
        lines.append("- no control: no clean strategy was run")
    return lines + [""]


def _p(value):
    return _NOTHING if value is None else "< 0.001" if value < 0.001 else "%.3f" % value


def _p_is(value):
    found = _p(value)
    return found if found.startswith("<") else "= " + found


def _a12(value):
    return _NOTHING if value is None else "%.2f" % value


def _comparison(compared):
    a, b = (fuzzer_name(*compared[side]) for side in "ab")
    lines = ["## %s against %s" % (a, b), ""]
    rows = []
    for of_bug in compared["bugs"]:
        runs, cpu = of_bug["executions"], of_bug["cpu_seconds"]
        rows.append((of_bug["id"] if of_bug["id"] != of_bug["name"] else _NOTHING, of_bug["name"],
                     _value(runs["a"], _executions), _value(runs["b"], _executions),
                     _p(runs["p"]), _a12(runs["a12"]), _value(cpu["a"], _seconds),
                     _value(cpu["b"], _seconds), _p(cpu["p"]), _a12(cpu["a12"])))
    lines += table(("id", "bug", "executions: first", "second", "p", "A12", "CPU s: first",
                    "second", "p", "A12"), rows, left=2) + [""]
    for measure, noun, form in (("executions", "executions", _executions),
                                ("cpu_seconds", "CPU seconds", _seconds)):
        told = compared["all"][measure]
        lines.append(
            "- %s to kill, over all bugs: median of medians %s against %s; the medians compared: p "
            "%s, A12 = %s; mean A12 of the bugs %s; sooner (p < %g): the first for %d bugs, the second "
            "for %d, no difference for %d" % (
                noun, _value(told["a"], form), _value(told["b"], form), _p_is(told["p"]),
                _a12(told["a12"]), _a12(told["mean_a12"]), SIGNIFICANT, told["a_sooner"],
                told["b_sooner"], told["no_difference"]))
    return lines + [
        "- medians of single runs; p: Mann-Whitney U, two-sided; A12 (Vargha and Delaney): how likely "
        "the first kills sooner, 0.5 is no difference; survivors rank last", ""]


def render(told, plots=()):
    lines = ["# Fuzzers against known bugs", ""]
    if told["stopped"]:
        lines += ["**Partial**: stopped by %s after %d of %d runs." % (
            told["stopped"], len(told["runs"]), told["planned"]), ""]
    lines += ["%s, seeds %s, at most %d s of CPU time a run (clean strategies %d s), corpus: %s; "
              "%s; sources %s." % (
                  text.count(len(told["bugs"]), "bug"), told["seeds"], told["seconds"],
                  told["control_seconds"], told["corpus"], told["started"],
                  told["version"] or "unknown"), ""]
    for plot in plots:
        lines += ["![Share of bugs alive](%s)" % plot, ""]
    for fuzzer in told["fuzzers"]:
        lines += _fuzzer(told, fuzzer)
    for compared in told["comparisons"]:
        lines += _comparison(compared)
    if told["problems"]:
        lines += ["## Could not run", ""] + ["- " + text.one_line(problem, 400)
                                             for problem in told["problems"]] + [""]
    lines += [
        "Medians, with their 95 % intervals by order statistics (from 6 runs on), are over the runs of "
        "a bug. A run that ends without an expected kill is a censored observation: the bug lives at "
        "least so long; a median beyond what was watched is given as `>`. CPU time is the engine's and "
        "all its children's, start-up and start corpus included."]
    if told["no_statistics"]:
        lines += ["", "No intervals and no tests: " + told["no_statistics"]]
    return "\n".join(lines) + "\n"
