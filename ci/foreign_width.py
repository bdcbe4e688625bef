"""Whether a source is written for addresses of 32 bits: what a compiler and its text say for that.

That it fails at 64 bits says nothing alone: then a mistake that shows at 64 bits only would be missed.
"""
import dataclasses
import re

# For the compiler: what a pointer does not survive at 64 bits. (At 32, where it does, it is silent.)
WARNINGS = ["-Wint-to-pointer-cast", "-Wint-to-void-pointer-cast", "-Wpointer-to-int-cast",
            "-Wvoid-pointer-to-int-cast", "-Wint-conversion"]

_PLACE = r"^(?:.*/)?([^/\n]+?):(\d+):\d+: warning: .*"
_BACK = re.compile(_PLACE + r"\[-W(?:int-to-(?:void-)?pointer-cast|int-conversion)\]", re.MULTILINE)
_AWAY = re.compile(_PLACE + r"\[-W(?:void-)?pointer-to-int-cast\]", re.MULTILINE)

# As the course's own examples call it; who keeps a pointer in a word of theirs has no cast to be warned of.
_WORD = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(W\w*SIZE|WORD\w*)[ \t]+\(?4\)?[ \t]*$", re.MULTILINE)


def _places(pattern, said):
    return ["%s:%s" % place for place in dict.fromkeys(pattern.findall(said))]


@dataclasses.dataclass
class Signs:
    """What speaks for 32 bits."""
    back: list               # places where integers become pointers: file:line
    away: list               # and the other way
    word: str                # the name of a word's size of 4 bytes; ''

    def why(self, failed):
        """What speaks for them, as a clause; ''. `failed`: what a trial run at 64 bits says."""
        if self.back:
            return "it makes pointers of 32-bit integers (%s)" % ", ".join(self.back[:3])
        if failed and self.away:
            return "it truncates pointers (%s), and a trial at 64 bits failed (%s)" % (
                ", ".join(self.away[:3]), failed)
        if failed and self.word:
            return "its words have 4 bytes (%s), and a trial at 64 bits failed (%s)" % (self.word, failed)
        return ""


def signs(said, text=""):
    """`said`: by a compiler with WARNINGS, for 64 bits. `text`: of the source, without its comments."""
    word = _WORD.search(text)
    return Signs(_places(_BACK, said), _places(_AWAY, said), word.group(1) if word else "")
