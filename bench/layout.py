#!/usr/bin/env python3
"""Writes functions/bootstraps/layout/*.ld: which functions of a bootstrap the linker places together.

    make layout

Linux maps a program's file 64 KiB at a time. Without an order the functions of a call lie all over the file, and nearly all of it
is mapped in for the quarter that is used: more memory and more page faults in every start. So the bootstraps are built with their
symbols, callgrind says which functions INIT and the cases of `make bench` run, and the linker places those first, by name.

To be run when the dependencies or the way of a request have changed much. A name in the file that a program does not have is no
error, and a function that the file does not name lies behind the others: nothing but memory depends on it. Takes some minutes.
"""

import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from bench import MINIMAL, NORTHSTAR, ROOT, lambda_build, run
from cases import MINIMAL as COMPARED_WITH
from cases import cases
from home import Home, Tables

LAYOUT = ROOT / "functions/bootstraps/layout"
BUILD = ROOT / "target/layout"
CALLS = 20
# A module is named as a whole when this much of it is used, by bytes.
USED = 0.9

HEAD = """\
/* Functions that INIT and the cases of `make bench` run, placed together. Written by `make layout`: see bench/layout.py. */
SECTIONS
{
  .text.hot :
  {
"""
FOOT = """\
  }
}
INSERT BEFORE .text;
"""


def main():
    # Without any debug information cargo strips a program even if told not to, and zig then takes its symbols too.
    unstripped = {"CARGO_PROFILE_RELEASE_STRIP": "none", "CARGO_PROFILE_RELEASE_DEBUG": "line-directives-only"}
    lambda_build(BUILD, **unstripped, NORTHSTAR_LAYOUT="none")
    if not NORTHSTAR.exists():
        run("cargo", "build", "--workspace")
    with Home(NORTHSTAR) as home:
        tables = Tables(home.dynamodb_url)
        executed = defaultdict(set)
        for case in cases(home, tables, BUILD / "lambda", MINIMAL):
            if case.name != COMPARED_WITH:
                print(case.name, flush=True)
                executed[case.program] |= functions(case, tables)
    for program, names in executed.items():
        patterns = sorted(named(symbols(program), names))
        written = LAYOUT / f"{program.parent.name}.ld"
        written.write_text(HEAD + "".join(f"    *(.text*.{pattern})\n" for pattern in patterns) + FOOT)
        print(f"{len(patterns)} names in {written.relative_to(ROOT)}")


def functions(case, tables):
    """The symbols of the program that run from its start to its last call."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "counts"
        options = ["--tool=callgrind", "--vgdb=no", "--demangle=no", f"--callgrind-out-file={written}"]
        with case.start(tables, [shutil.which("valgrind"), *options]) as bootstrap:
            bootstrap.init_ns()
            for index in range(CALLS):
                bootstrap.invoke(case.event(index), case.expected)
            bootstrap.end(signal.SIGTERM)
        return executed_in(written.read_text().splitlines(), str(case.program))


def executed_in(lines, program):
    """Callgrind gives a name in full once, and only its number from then on: `fn=(7) main`, `fn=(7)`."""
    full = {"ob": {}, "fn": {}}
    entries = []
    for line in lines:
        entry = re.fullmatch(r"(c?)(ob|fn)=\((\d+)\)(?: (.*))?", line)
        if entry:
            called, kind, number, name = entry.groups()
            if name:
                full[kind][number] = name
            if not called:
                entries.append((kind, number))
    names, current = set(), None
    for kind, number in entries:
        if kind == "ob":
            current = full["ob"][number]
        elif current == program:
            # 'name'2 is a recursion of name.
            names.add(re.sub(r"'\d+$", "", full["fn"][number]))
    return names


def symbols(program):
    """The functions of a program, with their sizes in bytes."""
    listed = subprocess.run(["nm", "--print-size", "--defined-only", program], check=True, capture_output=True, text=True)
    sizes = {}
    for line in listed.stdout.splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[2] in "tTwW":
            sizes[fields[3]] = int(fields[1], 16)
    return sizes


def named(sizes, executed):
    """Patterns that match what was executed, the shortest for modules of which most was."""
    total, used, itself, below = Counter(), Counter(), set(), defaultdict(set)
    for symbol, size in sizes.items():
        path = path_of(symbol)
        if symbol in executed:
            itself.add(path)
        for depth in range(len(path) + 1):
            total[path[:depth]] += size
            used[path[:depth]] += size if symbol in executed else 0
            if depth < len(path):
                below[path[:depth]].add(path[: depth + 1])
    patterns = set()

    def visit(path):
        if path and below[path] and used[path] >= USED * total[path]:
            patterns.add(pattern_of(path, deeper=True))
            return
        if path in itself:
            patterns.add(pattern_of(path, deeper=False))
        for part in below[path]:
            visit(part)

    visit(())
    return patterns


def path_of(symbol):
    """The parts of a mangled name, without the hash at its end, which differs with every release of a crate. A name that is not
    mangled in Rust's older way is one part."""
    if not symbol.startswith("_ZN"):
        return (symbol,)
    parts, at = [], 3
    while at < len(symbol) and symbol[at].isdigit():
        digits = re.match(r"\d+", symbol[at:])[0]
        end = at + len(digits) + int(digits)
        parts.append(symbol[at:end])
        at = end
    if re.fullmatch(r"17h[0-9a-f]{16}", parts[-1]):
        parts.pop()
    return tuple(parts)


def pattern_of(path, *, deeper):
    if not re.match(r"\d", path[0]):
        return path[0]
    return "_ZN" + "".join(path) + ("*" if deeper else "17h*")


if __name__ == "__main__":
    main()
