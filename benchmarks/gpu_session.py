"""gpu_session: all that is to be found out on a GPU, planned for little time on one.

    python -m benchmarks.gpu_session --out DIR [--budget SECONDS] [--only WORD ...] [--again]

Cases run in the order of their worth, each in a process of its own and in a box of time: one that hangs, fails or
crashes is noted and the next one runs. Rows are written as they come (DIR/rows.jsonl), each case's outcome when it ends
(DIR/cases.jsonl) and what it printed (DIR/CASE.log). So an interruption loses nothing but the case that ran; the same
command goes on behind the last one that ended (`--again` repeats those that failed or took too long), and no case
begins that its box would carry past the budget. At the end, and with `--budget 0` from what lies in DIR alone:

    DIR/rows.csv      every row, with device, driver, date and commit
    DIR/summary.txt   the targets: reached, missed, not measured
    DIR/summary.png   the same as a picture, where matplotlib is installed

What the machine needs, which may have no network: this checkout (or the wheel beside `tests` and `benchmarks`), built
with `pip install .` or with its `minigrad/*.so` copied, numpy, ml_dtypes, pytest and hypothesis; CuPy for the CUDA of
its driver (`pip download` its wheel, cuda-pathfinder's and the `[ctk]` libraries' where there is a network, carry them,
`pip install --no-index --find-links`). PyTorch built for CUDA fills the columns beside ours, which stay empty without;
so does what compute-sanitizer and matplotlib would give. Kernels are compiled there by NVRTC or nvcc in the first case
(CuPy needs NVRTC itself), or carried, where the same version of the compiler made them elsewhere:

    MINIGRAD_CACHE=cache python -m minigrad.cuda build --arch 90

and `MINIGRAD_CACHE=cache` there. Reading order: `cases`, `Session`, `run`, then `gpu/summary.py`.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHON = sys.executable
COMPILE = """
import cupy
from minigrad.cuda import cubin
print(len(cubin.build_all(None, [cupy.cuda.Device().compute_capability])), "cubins in", cubin.folder())
"""
SANITIZER = ["compute-sanitizer", "--error-exitcode", "9", "--target-processes", "all"]


@dataclass(frozen=True)
class Case:
    """A command, how many seconds it may take, and what it needs to be there (a program)."""

    name: str
    command: list
    box: float = 60
    needs: str = ""


def cases(device="cuda", smoke=()):
    """All of them, those first that one would not want to miss. `device` and `smoke` are the tests' own."""
    bench = lambda name, *groups, box=60: Case(  # noqa: E731
        name, [PYTHON, "-m", "benchmarks", "--device", device, "--lines", "{rows}", *smoke, *groups], box
    )
    return [
        Case("compile", [PYTHON, "-c", COMPILE], 120),
        bench("ceilings", "ceilings", box=90),
        Case("tests of kernels", [*pytest(device), "tests/cuda/test_on_device.py"], 120),
        bench("ladder", "ladder", box=90),
        bench("memory-bound", "memory-bound", box=120),
        bench("small nets", "step:small", box=40),
        bench("attention", "attention", box=90),
        bench("step of the MLP", "step:MLP", box=60),
        bench("step of the ConvNet", "step:Conv", box=60),
        bench("step of GPT", "step:GPT", box=90),
        *[Case(f"suite, {name}", [*pytest(device), *files], 150) for name, files in slices()],
        *[sanitized(tool, device) for tool in ("memcheck", "racecheck", "synccheck")],
        Case("mutants", [PYTHON, "-m", "tests.cuda.mutants_there", "--device", device, "--lines", "{rows}"], 240,
             "compute-sanitizer"),
        bench("step of the encoder", "step:encoder", box=60),
        bench("step of the blocks", "step:blocks", box=60),
        bench("ops", "ops", box=300),
        bench("epoch of MNIST", "epoch", box=90),
    ]  # fmt: skip


def pytest(device):
    parallel = ["-n", "8"] if importlib.util.find_spec("xdist") and device == "cuda" else []
    return [PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "--device", device, "--tb=short", "-rf", *parallel]


def slices():
    """The suite in parts of about a minute: (name, paths)."""
    files = sorted(str(f.relative_to(ROOT)) for f in (ROOT / "tests" / "ops").glob("test_*.py"))
    third = -(-len(files) // 3)
    parts = [(f"ops {i + 1} of 3", files[i * third : (i + 1) * third]) for i in range(3)]
    return [*parts, ("all else", ["tests", "--ignore=tests/ops"])]


def sanitized(tool, device):
    """The kernels' tests under compute-sanitizer, which fails with 9 if it found anything."""
    tests = [PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "--device", device, "--exact-memory"]
    command = [*SANITIZER, "--tool", tool, *tests, "tests/cuda/test_on_device.py", "-k", "kernel_does_there"]
    return Case(f"sanitizer, {tool}", command, 240, SANITIZER[0])


class Session:
    """What lies in a folder: outcomes of cases and rows."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rows, self.outcomes = self.folder / "rows.jsonl", self.folder / "cases.jsonl"

    def done(self, again=False):
        """The names of cases that ended; with `again` only those that ended well or that cannot run here."""
        return {o["case"] for o in lines(self.outcomes) if not again or o["outcome"] in ("passed", "missing")}

    def note(self, **outcome):
        with open(self.outcomes, "a", encoding="utf-8") as file:
            file.write(json.dumps(outcome) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def log(self, case):
        return self.folder / f"{case.name.replace(' ', '_').replace(',', '')}.log"


def lines(path):
    """What was written to a file of JSON lines; a last line that was cut is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def run(case, session, most):
    """Run a case to its end, or to the end of its box, and note the outcome."""
    if case.needs and not shutil.which(case.needs):
        session.note(case=case.name, outcome="missing", seconds=0, told=f"{case.needs} is not installed")
        return "missing"
    begin, command = time.monotonic(), [part.replace("{rows}", str(session.rows.resolve())) for part in case.command]
    with open(session.log(case), "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            status = process.wait(min(case.box, most))
            outcome = "passed" if status == 0 else "failed"
        except subprocess.TimeoutExpired:
            status, outcome = None, "too long"
        finally:  # also when this process is told to stop
            end(process)
    seconds = round(time.monotonic() - begin, 1)
    session.note(case=case.name, outcome=outcome, status=status, seconds=seconds, told=told(session.log(case)))
    return outcome


def end(process):
    """Stop a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def told(log, count=3):
    """The last lines of what a case printed."""
    return log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-count:]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="the folder to write to, and to go on from")
    parser.add_argument("--budget", type=float, default=540, help="seconds for all that runs now (540)")
    parser.add_argument("--only", nargs="*", default=[], help="cases whose name holds one of these words")
    parser.add_argument("--again", action="store_true", help="repeat what failed or took too long")
    parser.add_argument("--list", action="store_true", help="show the cases and their boxes, run none")
    return parser.parse_args(arguments)


def main(arguments=None, every=None):
    args = parse(arguments)
    every = cases() if every is None else every
    chosen = [c for c in every if not args.only or any(word in c.name for word in args.only)]
    if args.list:
        print("\n".join(f"{c.box:5.0f} s  {c.name}: {' '.join(map(str, c.command))}" for c in chosen))
        return 0
    session = Session(args.out)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `run` ends its case
    try:
        run_all(chosen, session, time.monotonic() + args.budget, session.done(args.again))
    finally:
        signal.signal(signal.SIGTERM, before)
    from benchmarks.gpu import summary

    print(summary.write(session))
    return 0


def run_all(chosen, session, deadline, finished):
    for case in chosen:
        left = deadline - time.monotonic()
        if case.name not in finished and left >= min(case.box, 10):
            print(f"{case.name} ... ", end="", flush=True)
            print(run(case, session, left), flush=True)


if __name__ == "__main__":
    sys.exit(main())
