#!/bin/bash -eu
# Builds all fuzz targets into $OUT with what OSS-Fuzz's base image says in the environment. It runs in
# the sources' folder, wherever a copy of this file lies. Names of targets build just these.
exec python3 fuzz/build_targets.py "$@"
