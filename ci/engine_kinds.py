"""The engines that there are, by name."""
from ci import engine_afl, engine_libfuzzer

ENGINES = {"libfuzzer": engine_libfuzzer.LibFuzzer, "afl": engine_afl.Afl}
