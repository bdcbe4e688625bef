"""What ci/footprint measures: for each world the objects of each subject, and a program that calls them."""

load("//bazel:cross.bzl", "CrossInfo", "WORLDS", "cross_aspect", "has_world", "missing_packages")

def _objects_impl(ctx):
    objects, lines = [], []
    for subject, name in ctx.attr.subjects.items():
        for object in subject[CrossInfo].objects.to_list():
            objects.append(object)
            lines.append("%s %s" % (name, object.path[len(ctx.bin_dir.path) + 1:]))
    table = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.write(table, "".join([line + "\n" for line in lines]))
    return [DefaultInfo(files = depset([table] + objects))]

_cross_objects = rule(
    implementation = _objects_impl,
    attrs = {
        "subjects": attr.label_keyed_string_dict(aspects = [cross_aspect]),
        "world": attr.string(mandatory = True, values = WORLDS.keys()),
    },
    doc = "<name>.txt has a line for each object that a subject needs: its name, and the path below bazel-bin.",
)

def _facts_impl(ctx):
    file = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(file, ctx.attr.text)
    return [DefaultInfo(files = depset([file]))]

_facts = rule(
    implementation = _facts_impl,
    attrs = {"text": attr.string()},
)

def footprint(name, subjects, data = []):
    """All that ci/footprint asks for, whatever compilers there are.

    Args:
      name: a filegroup; <name>_facts.json says what each world is built with, or which packages it lacks,
        and of which kind each subject is; footprint_<world> is the program, objects_<world>.txt names the
        objects.
      subjects: triples of label, name and kind.
      data: what is built with it.
    """
    worlds = {}
    for world, facts in WORLDS.items():
        there = has_world(world)
        worlds[world] = struct(
            missing = missing_packages(world),
            options = " ".join(facts.machine + [o for o in facts.copts if not o.startswith("-D")]),
            there = there,
        )
        if there:
            _cross_objects(
                name = "objects_" + world,
                subjects = {label: subject for label, subject, _ in subjects},
                world = world,
            )
    _facts(
        name = name + "_facts",
        text = json.encode(struct(
            subjects = {subject: kind for _, subject, kind in subjects},
            worlds = worlds,
        )),
    )
    native.filegroup(
        name = name,
        srcs = [name + "_facts"] + data + [
            kind + world
            for world in WORLDS
            if has_world(world)
            for kind in ["objects_", "footprint_"]
        ],
    )
