"""Commands that end in time, with all that they started: a child that hangs with the pipes open would
keep whoever reads them waiting after its parent is dead."""
import os
import signal
import subprocess

# For what is left in the pipes of a dead family.
_REST = 5


def _kill(child):
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(command, seconds, **options):
    """As subprocess.run with a timeout, whose TimeoutExpired names the command; but what it started is
    killed with it."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          start_new_session=True, **options) as child:
        try:
            out, errors = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as expired:
            _kill(child)
            try:
                expired.output, expired.stderr = child.communicate(timeout=_REST)
            except subprocess.TimeoutExpired:
                child.stdout.close()
            raise expired
        except BaseException:
            _kill(child)
            raise
    return subprocess.CompletedProcess(command, child.returncode, out, errors)
