"""file_list: the names of many files in one file, for commands that take a list of inputs.

$(rootpaths) would put thousands of names on a command line, and fails when there are none.
"""

def _impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    names = ["%s\n" % f.short_path for f in ctx.files.srcs]
    ctx.actions.write(output, "".join(sorted(names)))
    return [DefaultInfo(
        files = depset([output]),
        runfiles = ctx.runfiles(files = [output] + ctx.files.srcs),
    )]

file_list = rule(
    implementation = _impl,
    attrs = {"srcs": attr.label_list(allow_files = True)},
    doc = "One name a line, relative to the runfiles root; brings the files along as runfiles.",
)
