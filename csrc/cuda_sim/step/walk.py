"""walk: run by gdb's own Python, on a program made of replay.cpp. It follows one thread of a kernel line by line, and
writes down each line, and what it changed of the variables there. $CUDA_SIM_WALK names a file that says which.
"""

import json
import os
import re

import gdb  # ty: ignore

with open(os.environ["CUDA_SIM_WALK"]) as _file:
    TASK = json.load(_file)
SOURCES = {name: text.split("\n") for name, text in TASK["sources"].items()}
DEEPEST = 40
WIDTH = max(map(len, SOURCES)) + 6  # of "softmax.cu:123" and two spaces


def value_text(value):
    """A variable, short: an address in an array as `x + 3`, eight elements of an array, no more."""
    kind = value.type.strip_typedefs()
    if kind.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
        value, kind = value.referenced_value(), kind.target().strip_typedefs()
    if kind.code == gdb.TYPE_CODE_PTR:
        return pointer_text(int(value), kind.target().strip_typedefs())
    text = value.format_string(max_elements=8, repeat_threshold=4, symbols=False, max_depth=2)
    return re.sub(r"-?nan\(\w+\)", "nan", text.replace("\n", " "))


def pointer_text(address, target):
    for name, base, size in TASK["buffers"]:
        if base <= address <= base + size:
            return f"{name} + {(address - base) // max(1, target.sizeof)}"
    return f"({target} *) {address:#x}" if address else "null"


def variables(frame, line):
    """{name: text} of what is declared above `line` in the running function."""
    blocks = [frame.block()]
    while blocks[-1].function is None and blocks[-1].superblock is not None:
        blocks.append(blocks[-1].superblock)
    symbols = [s for block in reversed(blocks) for s in block if s.is_argument or (s.is_variable and 0 < s.line < line)]
    return {s.name: read(s, frame) for s in symbols if s.name not in ("this", "__closure") and not is_lambda(s.type)}


def is_lambda(kind):
    """What a lambda has captured says nothing: the variables themselves are shown."""
    kind = kind.strip_typedefs()
    if kind.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
        kind = kind.target().strip_typedefs()
    return kind.code == gdb.TYPE_CODE_STRUCT and any((f.name or "").startswith("__") for f in kind.fields())


def read(symbol, frame):
    try:
        return value_text(symbol.value(frame))
    except (gdb.error, gdb.MemoryError):
        return "?"


def depth_in_kernel(frame):
    """How many calls lie between the kernel and this frame; None outside of it."""
    for depth in range(DEEPEST):
        if frame is None:
            return None
        if frame.name() == TASK["kernel"]:
            return depth
        frame = frame.older()
    return None


def place(frame):
    """(file, line) in the kernel's sources, or None."""
    found = frame.find_sal()
    file = os.path.basename(found.symtab.filename) if found.symtab else ""
    return (file, found.line) if file in SOURCES and 0 < found.line <= len(SOURCES[file]) else None


def declares_kernel(where):
    """Whether a line is the head of the kernel, where gdb may stop first, or not."""
    name = re.sub("_b?float16$", "", TASK["kernel"])  # forms for halves are not written out
    return f"{name}(" in SOURCES[where[0]][where[1] - 1]


def walk(write):
    """Step until the thread leaves its kernel."""
    known, last, lines = {}, None, 0
    for _ in range(20 * TASK["most"]):
        frame = gdb.newest_frame()
        depth, where = depth_in_kernel(frame), place(frame)
        if depth is None:
            return
        if where is not None:
            here = (frame.name(), depth)
            for name, text in variables(frame, where[1]).items():
                if known.get((here, name)) != text:
                    known[here, name] = text
                    write(f"{'':{WIDTH}}{'  ' * depth}    {name} = {text}")
            if (here, where) != last and not declares_kernel(where):
                if lines == TASK["most"]:
                    return write(f".. and so on: {lines} lines were asked for")
                lines, last = lines + 1, (here, where)
                at = f"{where[0]}:{where[1]}"
                write(f"{at:{WIDTH}}{'  ' * depth}{SOURCES[where[0]][where[1] - 1].strip()}")
        gdb.execute("step", to_string=True)


def main():
    for setting in ("confirm off", "pagination off", "width 0", "step-mode off"):
        gdb.execute(f"set {setting}")
    for folder in (TASK["simulator"], "/usr"):
        gdb.execute(f"skip -gfi {folder}/*", to_string=True)
        gdb.execute(f"skip -gfi {folder}/*/*", to_string=True)
    gdb.execute("break cuda_sim_thread_found", to_string=True)
    gdb.execute(f"run {TASK['record']}", to_string=True)
    gdb.execute(f"tbreak {TASK['kernel']}", to_string=True)
    gdb.execute("continue", to_string=True)
    with open(TASK["result"], "w", buffering=1) as out:
        try:
            walk(lambda line: print(line, file=out))
        except gdb.error as error:
            print(f".. {error}", file=out)


main()
