#!/bin/bash
# allocator_check.sh NAME CHECK_COMMAND KIT_COMPILER ARGUMENT...: ci/check as Bazel starts it, in a test or by
# `bazel run` (//bazel:allocator_check.bzl), on a kit that is built already.
set -euo pipefail
name=$1 command=$2 kit=$(dirname "$3")
shift 3
if [ -n "${TEST_TMPDIR:-}" ]; then
  out=${TEST_UNDECLARED_OUTPUTS_DIR:-$TEST_TMPDIR}/$name cache=$TEST_TMPDIR/cache
else
  out=${BUILD_WORKSPACE_DIRECTORY:-$PWD}/out/check/$name cache=${BUILD_WORKSPACE_DIRECTORY:-$PWD}/out/check/.cache
fi
python=/usr/bin/python3
[ -x "$python" ] || python=python3
exec "$python" "$command" --kit "$kit" --cache "$cache" --out "$out" "$@"
