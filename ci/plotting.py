"""Runs the scripts that draw plots."""
import os
import subprocess
import sys

from ci import workbench


def draw(script, results, folder):
    """Has reports/`script` draw the file `results` into `folder`. Returns the names of the plots, and
    what went wrong. matplotlib is Debian's, and so is the Python that has it, which need not be the
    one that runs this."""
    script = os.path.join(workbench.ROOT, "reports", script)
    problem = ""
    for python in dict.fromkeys((sys.executable, "/usr/bin/python3")):
        try:
            result = subprocess.run([python, script, results, folder], capture_output=True,
                                    text=True, check=False)
        except OSError as error:
            problem = "%s: %s" % (python, error.strerror)
            continue
        if result.returncode == 0:
            return result.stdout.split("\n")[:-1], ""
        problem = (result.stderr.strip().splitlines() or ["exit code"])[-1]
    return [], "no plots: %s (apt-get install python3-matplotlib)" % problem
