"""The kept inputs of one strategy: files named by the SHA-1 of their bytes, as libFuzzer does it,
so that any number of sessions and runs may write into one folder."""
import hashlib
import os
import shutil


def sha1(data):
    return hashlib.sha1(data).hexdigest()


def is_declined(data):
    """Whether the fuzz target declines this input unseen: its heap is larger than 1 MiB (see
    fuzz/target.c, and harness/program.h for the bytes). AFL++ would keep one as something new."""
    return 1 << 20 < int.from_bytes(data[8:16], "little") <= 1 << 36


def _is_sha1(name):
    return len(name) == 40 and not set(name) - set("0123456789abcdef")


class Corpus:
    """A folder of inputs. One that shows a finding is banned for the rest of the run: libFuzzer
    would begin, and end, every session with it."""

    def __init__(self, folder):
        self.folder = folder
        self._banned = set()
        os.makedirs(folder, exist_ok=True)

    def add(self, data):
        """Keeps an input; True if it is new."""
        name = sha1(data)
        path = os.path.join(self.folder, name)
        if name in self._banned or is_declined(data) or os.path.exists(path):
            return False
        self._write(path, data)
        return True

    def _write(self, path, data):
        """The file gets a name when it is whole. It has none before, where the system can do that:
        an engine that lists the folder meanwhile would miss one that it saw."""
        try:
            descriptor = os.open(self.folder, os.O_TMPFILE | os.O_WRONLY, 0o644)
        except (OSError, AttributeError):
            temporary = os.path.join(self.folder, ".%s.tmp" % os.path.basename(path))
            with open(temporary, "wb") as f:
                f.write(data)
            os.replace(temporary, path)
            return
        with open(descriptor, "wb") as f:
            f.write(data)
            f.flush()
            try:
                # Python follows the link if it is given a folder, although it needs none.
                os.link("/proc/self/fd/%d" % descriptor, path, src_dir_fd=descriptor,
                        follow_symlinks=True)
            except FileExistsError:
                pass     # an engine wrote it meanwhile

    def snapshot(self, folder):
        """The inputs of now under a folder of their own, as links: for who cannot bear that some
        vanish while it reads them."""
        os.makedirs(folder)
        for path in self.paths():
            target = os.path.join(folder, os.path.basename(path))
            try:
                os.link(path, target)
            except FileNotFoundError:
                continue
            except OSError:      # no links here, or too many of this file
                shutil.copyfile(path, target)

    def ban(self, data):
        name = sha1(data)
        self._banned.add(name)
        try:
            os.unlink(os.path.join(self.folder, name))
        except FileNotFoundError:
            pass

    def start_from(self, folders):
        """Takes over the files below the folders. Engines need at least one input."""
        for folder in folders:
            for parent, _, names in os.walk(folder):
                for name in names:
                    with open(os.path.join(parent, name), "rb") as f:
                        self.add(f.read())
        if not len(self):
            self.add(b"\0")

    def sweep(self, since):
        """Removes what a kill or a power cut left half written: temporary files, and those from
        `since` (seconds since the epoch) on whose bytes are not what their names say."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") and entry.name.endswith(".tmp"):
                    os.unlink(entry.path)
                elif _is_sha1(entry.name) and entry.stat().st_mtime >= since:
                    with open(entry.path, "rb") as f:
                        if sha1(f.read()) != entry.name:
                            os.unlink(entry.path)

    def paths(self):
        """The inputs' files; what else lies in the folder is left alone."""
        return [self.folder + os.sep + name for name in sorted(os.listdir(self.folder))
                if _is_sha1(name)]

    def __len__(self):
        return sum(map(_is_sha1, os.listdir(self.folder)))
