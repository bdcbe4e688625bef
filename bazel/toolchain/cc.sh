#!/bin/sh
# The toolchain's compiler driver: runs the compiler that the chosen features name.
if [ "$ASSAY_CC" = missing ]; then
  echo "assay: AFL++'s afl-clang-fast was not found, so afl targets cannot be built: run ci/setup" >&2
  exit 1
fi
exec "$ASSAY_CC" "$@"
