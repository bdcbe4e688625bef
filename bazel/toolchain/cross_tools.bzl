"""Compilers and emulators for machines other than this one: their commands, and Debian's packages."""

# By the field of FOUND that holds where each is, or "".
CROSS_TOOLS = {
    "aarch64_gcc": struct(command = "aarch64-linux-gnu-gcc", package = "gcc-aarch64-linux-gnu"),
    "arm_gcc": struct(command = "arm-none-eabi-gcc", package = "gcc-arm-none-eabi"),
    "qemu_aarch64": struct(command = "qemu-aarch64", package = "qemu-user"),
    "qemu_arm": struct(command = "qemu-system-arm", package = "qemu-system-arm"),
    "qemu_riscv32": struct(command = "qemu-system-riscv32", package = "qemu-system-misc"),
    "riscv_gcc": struct(command = "riscv64-unknown-elf-gcc", package = "gcc-riscv64-unknown-elf"),
}

# Commands with spaces between that count as not there: for those who want to see what a machine without them does.
_HIDDEN = "ASSAY_HIDDEN_TOOLS"

CROSS_ENVIRONMENT = [_HIDDEN]

def find_cross_tools(ctx):
    """Looks for CROSS_TOOLS.

    Args:
      ctx: of a repository rule whose `environ` has CROSS_ENVIRONMENT.

    Returns:
      {field: path or ""}, and {path: version}, which tells when a tool has changed in its place.
    """
    hidden = ctx.os.environ.get(_HIDDEN, "").split(" ")
    paths, versions = {}, {}
    for field, tool in CROSS_TOOLS.items():
        found = None if tool.command in hidden else ctx.which(tool.command)
        paths[field] = str(found) if found else ""
        if found:
            versions[str(found)] = ctx.execute([found, "--version"]).stdout.split("\n")[0]
    return paths, versions
