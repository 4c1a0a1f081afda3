"""command: `python -m benchmarks --device cuda [GROUP ...]`

ceilings      what the GPU can do at best: copies, cuBLAS's products, launches
memory-bound  ops at 64 and 256 MiB
ladder        each rung of the matrix product against cuBLAS
attention     against PyTorch's backends
step          training steps, with and without capture (`step:GPT`: those whose name has that word)
epoch         of the MNIST MLP, beside the CPU
ops           every row of benchmarks/ops, or one op by its name
"""

import argparse
import json
import sys
from dataclasses import asdict

from benchmarks import ops, table
from benchmarks.gpu import attention, ceilings, epoch, kernels, ladder, steps
from benchmarks.gpu.place import Place, state, true_float32, use

GROUPS = {
    "ceilings": ceilings.rows,
    "memory-bound": kernels.memory_bound,
    "ladder": ladder.rows,
    "attention": attention.rows,
    "step": steps.rows,
    "epoch": epoch.rows,
    "ops": kernels.every,
}


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", required=True, choices=("cuda", "cuda-sim"))
    parser.add_argument("groups", nargs="*", metavar="GROUP")
    parser.add_argument("--csv", help="write the rows to this file too")
    parser.add_argument("--lines", help="append each row to this file as JSON, as soon as it is there")
    parser.add_argument("--plot", help="draw a summary into this file (needs matplotlib)")
    parser.add_argument("--seconds", type=float, default=1.0, help="for all rounds of a row, at most")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, on a simulated device: a trial, no figures")
    args = parser.parse_args(arguments)
    for group in args.groups:
        if group.split(":")[0] not in GROUPS and group not in ops.stems():
            parser.error(f"no group or op is called {group}, expected one of {', '.join(GROUPS)}")
    return args


def rows_of(group, place, torch):
    name, _, word = group.partition(":")
    if name in ops.stems() and name not in GROUPS:
        return kernels.stem_rows(place, torch, name)
    return GROUPS[name](place, torch, *([[word]] if word else []))


def measured(groups, place, torch):
    """Every row, and for a group that fails a line that says why; the other groups go on."""
    for group in groups:
        try:
            yield from rows_of(group, place, torch)
        except Exception as error:
            print(f"{group}: FAILED, {type(error).__name__}: {error}"[:2000], flush=True)
            yield None


def pytorch(place):
    """The module where it can use this GPU, else None: its columns stay empty."""
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: its columns stay empty")
        return None
    if not place.real or not torch.cuda.is_available():
        print("PyTorch has no GPU here: its columns stay empty")
        return None
    return torch


def main(arguments):
    args = parse(arguments)
    place = Place(args.device, args.smoke, args.seconds)
    torch, rows, failures = pytorch(place), [], 0
    known = table.facts() | place.facts()
    print(", ".join(f"{k} {v}" for k, v in known.items()), flush=True)
    true_float32(place, torch)
    groups = args.groups or list(GROUPS)
    with use(place):
        if groups[0] != "ceilings":
            ceilings.measure_few(place)
        for row in measured(groups, place, torch):
            if row is None:
                failures += 1
                continue
            table.show(row)
            rows.append(row)
            if args.lines:
                append(args.lines, row, known)
    print(f"clocks, power, temperature at the end: {state()}")
    if args.csv:
        table.write(rows, args.csv, known)
    if args.plot:
        from benchmarks.gpu.summary import draw

        draw(rows, args.plot)
    return 1 if failures else 0


def append(path, row, known):
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps({"values": asdict(row), "facts": known}) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
