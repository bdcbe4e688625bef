"""The engines that there are, by name."""
from ci import engine_afl, engine_libfuzzer

ENGINES = {"libfuzzer": engine_libfuzzer.LibFuzzer, "afl": engine_afl.Afl}

# That each is built with; and which of them unless somebody chooses.
SANITIZERS_OF = {"libfuzzer": ("address", "none", "memory", "thread"), "afl": ("none", "address")}
SANITIZERS = {"libfuzzer": "address", "afl": "none"}
