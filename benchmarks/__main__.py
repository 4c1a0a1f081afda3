"""The command: `python -m benchmarks [GROUP ...]` measures all groups, or those named.

usage
    python -m benchmarks                          everything (about a quarter of an hour)
    python -m benchmarks ceilings step            some groups
    python -m benchmarks ops                      every op
    python -m benchmarks softmax                  one op: benchmarks/ops/bench_softmax.py
    python -m benchmarks --csv A.csv --plot A.png
    python -m benchmarks --from A.csv --report    the table of README.md
    python -m benchmarks compare A.csv B.csv      what became slower from A to B; exit status 1 if anything did
    python -m benchmarks profile GPT              where the time of a workload goes
    python -m benchmarks --device cuda [GROUP ..] on a GPU: benchmarks/gpu/command.py
"""

import argparse
import sys

from benchmarks import (
    busy,
    ceilings,
    compare,
    epoch,
    measure,
    memory,
    ops,
    overhead,
    profile,
    report,
    rivals,
    steps,
    table,
)

GROUPS = {
    "ceilings": ceilings.rows,
    "overhead": overhead.rows,
    "ops": None,
    "step": steps.training,
    "inference": steps.inference,
    "epoch": epoch.rows,
    "busy": busy.rows,
    "memory": memory.rows,
}


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}, or an op's name")
    parser.add_argument("--csv", help="write the rows to this file too")
    parser.add_argument("--plot", help="draw ratios and a roofline into this file (needs matplotlib)")
    parser.add_argument("--from", dest="source", help="take the rows from this CSV file instead of measuring")
    parser.add_argument("--report", action="store_true", help="with --from: print the rows as README.md shows them")
    parser.add_argument("--threads", type=int, help="as many threads for us, and at most as many for the rivals")
    parser.add_argument("--compile", action="store_true", help="torch.compile as a rival (half a minute per workload)")
    parser.add_argument("--quick", action="store_true", help="two short rounds of what is small: a trial, no figures")
    args = parser.parse_args(arguments)
    if unknown := set(args.groups) - set(GROUPS) - set(ops.stems()):
        parser.error(f"no group or op is called {', '.join(sorted(unknown))}")
    return args


def measured(groups, torch):
    """The rows of the groups, shown as they come, and how many could not be taken."""
    rows, failures = [], 0
    for name in (part for group in groups or GROUPS for part in (ops.stems() if group == "ops" else [group])):
        try:
            for row in GROUPS[name](torch) if name in GROUPS else ops.rows_of(name, torch):
                table.show(row)
                rows.append(row)
        except AssertionError as error:
            failures += 1
            print(f"{name}: NOT EQUAL, the rest is left out\n{error}", flush=True)
    return rows, failures


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] in (["compare"], ["profile"]):
        return {"compare": compare, "profile": profile}[arguments[0]].main(arguments[1:])
    if any(a.startswith("--device") for a in arguments):
        from benchmarks.gpu import command

        return command.main(arguments)
    args = parse(arguments)
    rivals.compiling = args.compile
    before = measure.set_effort(measure.QUICK if args.quick else measure.FULL)
    try:
        (rows, known), failures = (table.read(args.source), 0) if args.source else measured_here(args)
    finally:
        measure.set_effort(before)
    if args.source and args.report:
        print(report.report(args.source))
    if args.csv:
        table.write(rows, args.csv, known)
    if args.plot:
        from benchmarks.plot import draw

        draw(rows, args.plot)
    return 1 if failures else 0


def measured_here(args):
    try:
        import torch
    except ImportError:
        torch = None
        print("PyTorch is not installed: only our own times are measured")
    if args.threads:
        import minigrad

        minigrad.set_num_threads(args.threads)
    known = table.facts()
    print(", ".join(f"{k} {v}" for k, v in known.items()), flush=True)
    rows, failures = measured(args.groups, torch)
    return (rows, known), failures


if __name__ == "__main__":
    sys.exit(main())
