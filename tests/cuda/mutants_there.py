"""mutants_there: the planted faults of test_mutants.py on a GPU under compute-sanitizer: is the simulator confirmed?

    python -m tests.cuda.mutants_there --device cuda --lines FILE     each under the tool that should see it
    python -m tests.cuda.mutants_there --device cuda --run NAME       one, in this process: what the tool watches

racecheck looks at shared memory only: a race on global memory is the simulator's alone to find.
A line of FILE is {"mutant", "kind", "tool", "found"}: the simulator reports all of them (test_mutants.py holds it to
that), so they agree where `found` is true.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from minigrad.backend import devices
from minigrad.backend.devices import kernels, known, move, on
from minigrad.cuda import build
from tests.cuda.test_kernels import copies
from tests.cuda.test_mutants import MUTANTS

TOOLS = {  # kind of fault -> the tool of compute-sanitizer that looks for it
    "race": "racecheck",
    "uninitialised": "racecheck",  # a missing barrier, or one that not all reach: what is read is still being written
    "not waited for": "racecheck",
    "out of bounds": "memcheck",
    "misaligned": "memcheck",
    "undefined lane": "synccheck",
    "mbarrier": "synccheck",
    "missing fence": "synccheck",
    "deadlock": "synccheck",
}
PATIENCE = 60  # seconds; what a deadlock stops is ended then, and counts as found
FOUND = 9  # the tool's exit status


def plant(file, text, replacement, folder):
    """Put a fault into a copy of the sources, from which kernels are then made."""
    for path in build.kernel_folder().glob("*.cu*"):
        source = path.read_text()
        assert path.name != file or text in source, f"{file} has changed"
        (Path(folder) / path.name).write_text(source.replace(text, replacement, 1) if path.name == file else source)
    build.kernel_folder = lambda: Path(folder)


def run(name, device):
    _, file, text, replacement, row, _ = next(m for m in MUTANTS if m[0] == name)
    kernel, *args = row
    if device == devices.CUDA:
        devices.gpu.load().cuda.set_allocator(None)  # a pool's blocks would hide what lies beyond an array's end
    with tempfile.TemporaryDirectory() as folder:
        plant(file, text, replacement, folder)
        there = copies(args, lambda a: move(a, device))
        with on(device):
            kernels(type(devices.empty_there((1,), "f4")))[kernel](*there)
        if device == devices.CUDA:
            devices.gpu.load().cuda.Device().synchronize()


def watched(name, kind, arguments):
    """Whether the tool for this kind reports something of a mutant, which runs in a process of its own."""
    own = [sys.executable, "-m", "tests.cuda.mutants_there", *arguments, "--run", name]
    sanitizer = ["compute-sanitizer", "--tool", TOOLS[kind], "--error-exitcode", str(FOUND)]
    try:
        done = subprocess.run([*sanitizer, *own], capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        if kind == "deadlock":
            return True
        raise
    assert done.returncode in (0, FOUND), done.stdout[-2000:] + done.stderr[-2000:]
    return done.returncode == FOUND


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cuda-sim"))
    parser.add_argument("--lines", help="append the verdicts to this file")
    parser.add_argument("--run", metavar="NAME", help="run one mutant here")
    args = parser.parse_args(arguments)
    if args.run:
        return run(args.run, known("mutants", args.device))
    for name, *_, kind in MUTANTS:
        try:
            line = {"mutant": name, "kind": kind, "tool": TOOLS[kind]}
            line["found"] = watched(name, kind, ["--device", args.device])
        except (AssertionError, KeyError, subprocess.TimeoutExpired) as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            continue
        print(line, flush=True)
        if args.lines:
            with open(args.lines, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    sys.exit(main())
