"""Bazel 4 stand-in for @rules_cc: cc_common."""

load("//cc:globals.bzl", "cc_common_")

cc_common = cc_common_
