"""Bazel 4 stand-in for @rules_cc: CcToolchainConfigInfo."""

load("//cc:globals.bzl", "cc_toolchain_config_info_")

CcToolchainConfigInfo = cc_toolchain_config_info_
