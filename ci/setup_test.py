#!/usr/bin/env python3
"""ci/setup on a machine made of fake commands: what it installs, and that no nginx is started by it, and
none is touched that was there before."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

SETUP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "setup")

# What the machine has anyway.
_REAL = ["bash", "cat", "grep", "mktemp", "rm", "tail", "env", "sh"]

# Each writes down how it was called.
_NOTED = ["apt-get", "service", "update-rc.d", "tee", "chmod"]

_APT = """\
#!/bin/sh
echo "apt-get $*" >>"$FAKE/called"
[ "$5" = install ] || [ "$3" = install ] || exit 0
[ ! -e "$FAKE/no-network" ] || exit 100
for word in "$@"; do echo "$word" >>"$FAKE/packages"; done
"""


class SetupTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.fake = scratch.name
        for name in _REAL:
            os.symlink(shutil.which(name), os.path.join(self.fake, name))
        for name in _NOTED:
            self.program(name, '#!/bin/sh\necho "%s $*" >>"$FAKE/called"\n' % name)
        self.program("apt-get", _APT)
        self.program("id", "#!/bin/sh\necho 0\n")
        self.program("dpkg-query", '#!/bin/sh\nfor word; do :; done\n'
                     'grep -qx "$word" "$FAKE/packages" && echo "install ok installed"\n')
        self.have()

    def program(self, name, text):
        path = os.path.join(self.fake, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def have(self, *packages):
        with open(os.path.join(self.fake, "packages"), "w", encoding="utf-8") as file:
            file.write("".join(package + "\n" for package in packages))

    def setup(self, *options):
        """(exit code, what it said, the commands that it called)."""
        log = os.path.join(self.fake, "called")
        if os.path.exists(log):
            os.unlink(log)
        result = subprocess.run(["bash", SETUP, *options], env={"PATH": self.fake, "FAKE": self.fake},
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, check=False)
        if not os.path.exists(log):
            return result.returncode, result.stdout, []
        with open(log, encoding="utf-8") as file:
            return result.returncode, result.stdout, file.read().splitlines()

    def installed(self, called):
        return {word for line in called if " install " in line for word in line.split()
                if not word.startswith("-")}

    def test_check_installs_nothing(self):
        code, said, called = self.setup("--check")
        self.assertEqual((code, called), (2, []))
        self.assertIn("bazel-bootstrap", said)
        self.assertIn("libclang-rt-14-dev", said)
        self.assertNotIn("chromium", said)
        self.assertNotIn("nginx", said)

    def test_what_only_some_need(self):
        self.assertIn("nginx", self.setup("--check", "--cache")[1])
        for package in ("nginx", "chromium", "python3-selenium", "python3-jsonschema"):
            self.assertIn(package, self.setup("--check", "--test")[1])
        self.assertIn("libjemalloc2", self.setup("--check", "--bench")[1])

    def test_worlds(self):
        tools = os.path.join(os.path.dirname(SETUP), "..", "bazel", "toolchain", "cross_tools.bzl")
        with open(tools, encoding="utf-8") as file:
            packages = re.findall('package = "([^"]+)"', file.read())
        self.assertGreater(len(packages), 3)
        for option in ("--worlds", "--all"):
            said = self.setup("--check", option)[1]
            for package in packages:
                self.assertIn(package, said)
        for package in packages:
            self.assertNotIn(package, self.setup("--check", "--test", "--bench")[1])
        # Those that are there are not asked for again.
        self.program("qemu-aarch64", "#!/bin/sh\n")
        self.assertNotIn("qemu-user", self.setup("--check", "--worlds")[1])
        self.assertIn("gcc-aarch64-linux-gnu", self.setup("--check", "--worlds")[1])

    def test_all_is_all(self):
        said = self.setup("--check", "--all")[1]
        for option in ("--test", "--cache", "--bench", "--worlds"):
            for package in self.setup("--check", option)[1].split()[2:]:
                self.assertIn(package, said.split())

    def test_what_can_be_done_without_keeps_nothing_away(self):
        refused = 'case "$*" in *libjemalloc2*) exit 100 ;; esac\n[ ! -e'
        self.program("apt-get", _APT.replace("[ ! -e", refused))
        code, said, called = self.setup("--all")
        self.assertEqual(code, 0, said)
        self.assertIn("ci/bench can do without libjemalloc2", said)
        self.assertNotIn("will be skipped", said)
        self.assertIn("gcc-arm-none-eabi", self.installed(called))
        last = said.splitlines()[-1]
        self.assertIn("installed ", last)
        self.assertIn("gcc-arm-none-eabi", last)
        self.assertNotIn("libjemalloc2", last)

    def test_a_new_nginx_is_disabled(self):
        code, said, called = self.setup("--cache")
        self.assertEqual(code, 0, said)
        self.assertIn("nginx", self.installed(called))
        self.assertIn("update-rc.d nginx disable", called)
        # Before it is there, it is kept from being started; unless the machine starts nothing anyway.
        if not os.path.exists("/usr/sbin/policy-rc.d"):
            install = [i for i, line in enumerate(called) if " install " in line][0]
            self.assertIn("tee /usr/sbin/policy-rc.d", called[:install])

    def test_an_old_nginx_is_left_alone(self):
        self.have("nginx")
        code, said, called = self.setup("--cache")
        self.assertEqual(code, 0, said)
        self.assertNotIn("nginx", self.installed(called))
        self.assertFalse([line for line in called if not line.startswith("apt-get ")], called)

    def test_what_cannot_be_installed(self):
        self.have("nginx")
        with open(os.path.join(self.fake, "no-network"), "w", encoding="utf-8"):
            pass
        code, said, called = self.setup("--cache")
        self.assertEqual(code, 2, said)
        self.assertIn("could not install", said)
        self.assertFalse([line for line in called if "nginx" in line], called)


if __name__ == "__main__":
    unittest.main()
