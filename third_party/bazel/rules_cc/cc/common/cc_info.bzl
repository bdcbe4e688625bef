"""Bazel 4 stand-in for @rules_cc: CcInfo."""

load("//cc:globals.bzl", "cc_info_")

CcInfo = cc_info_
