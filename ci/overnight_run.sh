#!/bin/bash
# `bazel run //ci:overnight`: the checkout's own ci/overnight, from where the user stands. It builds,
# which Bazel allows: while what it runs is running, it holds no lock.
set -euo pipefail
# Without `bazel run` this is what Bazel's tests find as ci/overnight, the command beside it.
if [ -z "${BUILD_WORKSPACE_DIRECTORY:-}" ]; then
  exec python3 "$(dirname "$0")/overnight_command.py" "$@"
fi
cd "${BUILD_WORKING_DIRECTORY:-$BUILD_WORKSPACE_DIRECTORY}"
exec "$BUILD_WORKSPACE_DIRECTORY/ci/overnight" "$@"
