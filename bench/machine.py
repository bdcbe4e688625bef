"""On what machine something was measured."""
import os
import re
import subprocess


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _output(*command):
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def load():
    """Running processes, on average over the last minute; None where the system does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def facts(compiler):
    """{what: text}; what the system does not tell is `unknown`. `compiler` is its own first line."""
    cpu = re.search(r"(?m)^model name\s*: (.*)$", _read("/proc/cpuinfo"))
    memory = re.search(r"(?m)^MemTotal:\s*(\d+) kB", _read("/proc/meminfo"))
    system = re.search(r'(?m)^PRETTY_NAME="?([^"\n]*)', _read("/etc/os-release"))
    hypervisor = re.search(r"(?m)^flags\s*:.*\bhypervisor\b", _read("/proc/cpuinfo"))
    huge = re.search(r"\[(\w+)\]", _read("/sys/kernel/mm/transparent_hugepage/enabled"))
    governor = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    found = {
        "cpu": cpu.group(1) if cpu else "",
        "cores": str(len(os.sched_getaffinity(0))),
        "virtual": "yes" if hypervisor else "no",
        "memory": "%d MiB" % (int(memory.group(1)) >> 10) if memory else "",
        "governor": governor,
        "huge pages": huge.group(1) if huge else "",
        "kernel": os.uname().release,
        "system": system.group(1) if system else "",
        "compiler": compiler,
    }
    return {key: value or "unknown" for key, value in found.items()}


def compiler(comment_of):
    """What built a program, from its .comment section."""
    for line in _output("readelf", "-p", ".comment", comment_of).splitlines():
        match = re.search(r"\]\s+(.*clang.*|.*GCC.*)$", line)
        if match and "clang" in match.group(1):
            return match.group(1).strip()
    return ""
