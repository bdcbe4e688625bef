#!/bin/bash
# `bazel run //ci:overnight`: the checkout's own ci/overnight, from where the user stands. It builds,
# which Bazel allows: while what it runs is running, it holds no lock.
set -euo pipefail
: "${BUILD_WORKSPACE_DIRECTORY:?start it with bazel run //ci:overnight, or as ci/overnight}"
cd "${BUILD_WORKING_DIRECTORY:-$BUILD_WORKSPACE_DIRECTORY}"
exec "$BUILD_WORKSPACE_DIRECTORY/ci/overnight" "$@"
