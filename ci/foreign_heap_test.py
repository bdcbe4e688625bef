#!/usr/bin/env python3
"""How heaps are understood: what declarations tell, adapter files, and the code that calls them."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from ci import c_declarations, heap_adapter, heap_glue  # noqa: E402
from ci.c_declarations import BOOL, INTEGER, OTHER, POINTER, VOID, Function, Parameter, Type  # noqa: E402
from ci.workbench import CannotRun  # noqa: E402

SOURCE = """\
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef void *tlsf_t;
typedef struct heap heap_t;
typedef enum { GOOD, BAD } error_t;
typedef uint16_t small;
struct pair { int a, b; };
heap_t *create(void *memory, size_t bytes);
tlsf_t create_too(void *mem, const size_t bytes) { (void)bytes; return mem; }
error_t start(uint8_t *const memory, const small n) { return n && memory ? GOOD : BAD; }
bool ready(heap_t *restrict heap);
static void hidden(void *block) { (void)block; }
struct pair odd(struct pair pair) { hidden(0); return pair; }
void logged(const char *format, ...);
unsigned long long wide(long int a, unsigned b, int64_t c);
void *(*callback(void (*f)(int)))(int);
"""


def function(name, result, *parameters):
    """Of parameters like "size_t size" and "void * p"."""
    kinds = {"void": VOID, "bool": BOOL}

    def kind(text):
        return Type(POINTER if text.endswith("*") else kinds.get(text, INTEGER), text)
    return Function(name, kind(result), tuple(
        Parameter(words.rpartition(" ")[2], kind(words.rpartition(" ")[0])) for words in parameters), False)


def settled(role, text, *parameters, result="void *"):
    line = heap_adapter.parse_line(role, text, "--" + role)
    heap_adapter.settle(line, function(line.function, result, *parameters))
    return line.arguments


class DeclarationsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        source = os.path.join(folder, "heap.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(SOURCE)
        self.read = c_declarations.Declarations([OPTIONS.clang], source)

    def shape(self, name):
        found = self.read.function(name)
        return [found.result.kind] + [each.type.kind for each in found.parameters]

    def test_kinds_are_those_behind_typedefs(self):
        self.assertEqual(self.shape("create"), [POINTER, POINTER, INTEGER])
        self.assertEqual(self.shape("create_too"), [POINTER, POINTER, INTEGER])
        self.assertEqual(self.shape("start"), [INTEGER, POINTER, INTEGER])
        self.assertEqual(self.shape("ready"), [BOOL, POINTER])
        self.assertEqual(self.shape("odd"), [OTHER, OTHER])
        self.assertEqual(self.shape("callback"), [POINTER, POINTER])

    def test_prototypes_need_no_declaration(self):
        self.assertEqual(self.read.function("start").prototype("own"), "int own(void *, unsigned short)")
        self.assertEqual(self.read.function("create_too").prototype("f"), "void *f(void *, unsigned long)")
        self.assertEqual(self.read.function("wide").prototype("f"),
                         "unsigned long long f(long, unsigned int, long)")

    def test_names_static_and_variadic(self):
        self.assertEqual([each.name for each in self.read.function("create").parameters],
                         ["memory", "bytes"])
        self.assertTrue(self.read.function("hidden").static)
        self.assertFalse(self.read.function("start").static)
        self.assertTrue(self.read.function("logged").variadic)
        self.assertIsNone(self.read.function("creat"))


class GuessTest(unittest.TestCase):
    def test_init(self):
        self.assertEqual(settled("init", "f", "void * p", "size_t n"), ["buffer", "size"])
        self.assertEqual(settled("init", "f", "size_t n", "void * p"), ["size", "buffer"])
        self.assertEqual(settled("init", "f", "struct heap * h", "void * p", "size_t n"),
                         ["handle", "buffer", "size"])
        self.assertEqual(settled("init", "f", "char * base", "char * limit"), ["buffer", "end"])
        self.assertEqual(settled("init", "f"), [])
        with self.assertRaisesRegex(CannotRun, "cannot be told.*adapter file"):
            settled("init", "f", "void * a", "void * b")

    def test_requests(self):
        self.assertEqual(settled("alloc", "f", "size_t n"), ["size"])
        self.assertEqual(settled("alloc", "f", "heap * h", "size_t n"), ["handle", "size"])
        self.assertEqual(settled("alloc", "f", "size_t align", "size_t n"), ["alignment", "size"])
        self.assertEqual(settled("align", "f", "heap * h", "size_t n", "size_t alignment"),
                         ["handle", "size", "alignment"])
        self.assertEqual(settled("align", "f", "size_t a", "size_t n"), ["alignment", "size"])
        self.assertEqual(settled("realloc", "f", "void * p", "size_t new_size", "size_t old_size"),
                         ["block", "size", "old"])
        self.assertEqual(settled("free", "f", "void * p", "size_t n", result="void"), ["block", "size"])
        self.assertEqual(settled("free", "f", "void * p", "void * heap", result="void"),
                         ["block", "handle"])

    def test_what_is_no_heap(self):
        with self.assertRaisesRegex(CannotRun, "returns no pointer"):
            settled("alloc", "f", "size_t n", result="int")
        with self.assertRaisesRegex(CannotRun, "takes 1 arguments"):
            settled("alloc", "f(handle, size)", "size_t n")


class AdapterFileTest(unittest.TestCase):
    def parse(self, text):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "my.adapter")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return heap_adapter.parse_file(path), folder

    def test_three_lines(self):
        (lines, lists), folder = self.parse(
            "# a heap\nsource = heap.c more.c\ncflag = -DX -O2\nmemory = zeroed\n"
            "init = heap_init(buffer, size, 16) == 1;\nalloc=heap_alloc (handle,size)\n\nfree = heap_free\n")
        self.assertEqual(lists["source"], [os.path.join(folder, "heap.c"), os.path.join(folder, "more.c")])
        self.assertEqual(lists["cflag"], ["-DX", "-O2"])
        self.assertEqual(lists["memory"], ["zeroed"])
        self.assertEqual(lines["init"].arguments, ["buffer", "size", "16"])
        self.assertEqual(lines["init"].success, "== 1")
        self.assertEqual(lines["alloc"].arguments, ["handle", "size"])
        self.assertIsNone(lines["free"].arguments)

    def test_bad_lines_are_named_by_number(self):
        for text, words in (("alloc = f(size)\nfoo = f()", r"my.adapter:2: .*NAME is one of"),
                            ("alloc = f(length)", r"my.adapter:1: alloc knows no 'length'"),
                            ("alloc = f(size", r"my.adapter:1: 'f\(size' is no call"),
                            ("alloc = f\nalloc = g", r"my.adapter:2: alloc was said before"),
                            ("memory = dusty", r"my.adapter:1: memory is dirty or zeroed"),
                            ("nonsense", r"my.adapter:1: ")):
            with self.assertRaisesRegex(CannotRun, words):
                self.parse(text)


class GlueTest(unittest.TestCase):
    def glue(self, functions, **roles):
        functions = {each.name: each for each in functions}
        lines = {role: heap_adapter.parse_line(role, text, role) for role, text in roles.items()}
        for line in lines.values():
            heap_adapter.settle(line, functions[line.function])
        return heap_glue.Glue(lines, functions)

    def compiles(self, glue):
        result = subprocess.run(
            ["cc", "-std=c17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-DFOREIGN_ALIGN=16",
             "-DFOREIGN_LIMIT=65536", "-D_GNU_SOURCE", "-I" + ROOT, "-xc", "-"],
            input=glue.source().encode(), stderr=subprocess.PIPE, check=False)
        self.assertEqual(result.returncode, 0, result.stderr.decode() + glue.source())

    def test_global(self):
        glue = self.glue([function("i", "int", "void * p", "unsigned short n"),
                          function("a", "void *", "int n"), function("f", "void", "void * p")],
                         init="i", alloc="a", free="f")
        self.assertTrue(glue.over_buffer)
        self.assertEqual(glue.restarts, "")
        self.assertEqual(glue.largest(), 65535)
        self.assertEqual(glue.kept(), ["own_i", "own_a", "own_f"])
        text = glue.source()
        self.assertIn("return own_i((void *)buffer, (unsigned short)size) == 0;", text)
        self.assertIn("if (size > HEAP_MOST(int)) return NULL;", text)
        self.compiles(glue)

    def test_handle_of_init(self):
        glue = self.glue([function("i", "heap *", "void * p", "unsigned long n"),
                          function("a", "void *", "heap * h", "unsigned long align", "unsigned long n"),
                          function("f", "int", "heap * h", "void * p"),
                          function("r", "void *", "heap * h", "void * p", "unsigned long n")],
                         init="i", alloc="a", free="f", realloc="r")
        self.assertEqual(glue.restarts, "init")
        self.assertEqual(set(glue.defines()), {"FOREIGN_HAS_RESIZE=1", "FOREIGN_HAS_ALIGNED=1",
                                               "FOREIGN_HAS_RESTART=1"})
        self.assertIn("adapted_allocate_aligned", glue.source())
        self.compiles(glue)

    def test_handle_of_ours_and_sizes_that_are_told(self):
        glue = self.glue([function("i", "void", "heap * h", "void * p", "unsigned long n"),
                          function("a", "void *", "heap * h", "unsigned int n"),
                          function("f", "void", "heap * h", "void * p", "unsigned long n"),
                          function("r", "void *", "heap * h", "void * p", "unsigned long old",
                                   "unsigned long now")],
                         init="i", alloc="a", free="f", realloc="r")
        text = glue.source()
        self.assertIn("handle = storage;", text)
        self.assertIn("own_f((void *)handle, (void *)block, (unsigned long)given);", text)
        self.compiles(glue)

    def test_hooks(self):
        glue = self.glue([function("a", "void *", "unsigned long n"), function("f", "void", "void * p"),
                          function("more", "void *", "unsigned int npages"),
                          function("less", "int", "void * p", "unsigned long n"),
                          function("grow", "char *", "int by")],
                         alloc="a", free="f", pages="more", pages_free="less", sbrk="grow")
        self.assertFalse(glue.over_buffer)
        self.assertEqual(glue.renames()["more"], "own_more")
        self.assertNotIn("own_more", glue.kept())
        self.assertIn("foreign_pages((size_t)count * BACKEND_PAGE)", glue.source())
        self.compiles(glue)

    def test_a_handle_needs_an_init(self):
        with self.assertRaisesRegex(CannotRun, "no init to get the handle from"):
            self.glue([function("a", "void *", "heap * h", "unsigned long n"),
                       function("f", "void", "void * p")], alloc="a", free="f").source()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--clang", default="clang-19")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest)
