#!/bin/sh
# A test of a world whose tools are missing says what to install, to people and to ci/count_tests.py.
set -u
failed=0
export XML_OUTPUT_FILE="$TEST_TMPDIR/test.xml"
events="$TEST_TMPDIR/events"

# expect TEST REASON
expect() {
  said=$("bazel/$1") || { echo "FAILED: $1 ends with $?"; failed=1; }
  if [ "$said" != "SKIPPED: $2" ]; then
    echo "FAILED: $1 says: $said"
    failed=1
  fi
  {
    printf '{"id": {"targetConfigured": {"label": "//:a"}}, "configured": {"targetKind": "sh_test rule"}}\n'
    printf '{"id": {"testResult": {"label": "//:a"}}, "testResult": {"status": "PASSED", "testActionOutput": '
    printf '[{"name": "test.xml", "uri": "file://%s"}]}}\n' "$XML_OUTPUT_FILE"
  } >"$events"
  counted=$(python3 ci/count_tests.py "$events" 0)
  if [ "$counted" != "SKIPPED 1 tests: $2
0 passed, 0 failed" ]; then
    echo "FAILED: $1 is counted as: $counted"
    failed=1
  fi
}

expect no_riscv_test "riscv32 needs gcc-riscv64-unknown-elf qemu-system-misc: ci/setup --all installs it"
expect no_arm_test "cortex_m3 needs gcc-arm-none-eabi qemu-system-arm: ci/setup --all installs it"
exit $failed
