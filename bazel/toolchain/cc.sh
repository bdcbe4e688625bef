#!/bin/sh
# The toolchain's compiler driver: runs the compiler that the chosen features name.
if [ -z "${ASSAY_CC:-}" ]; then
  echo "assay: AFL++'s afl-clang-fast was not found, so afl targets cannot be built: run ci/setup" >&2
  exit 1
fi
exec "$ASSAY_CC" "$@"
