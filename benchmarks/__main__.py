"""The command: `python -m benchmarks [overhead step epoch] [--csv FILE]`."""

import argparse

from benchmarks import epoch, overhead, steps
from benchmarks.measure import facts, show, write

GROUPS = {"overhead": overhead.rows, "step": steps.rows, "epoch": epoch.rows}


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], help="what to measure (all if left out)")
    parser.add_argument("--csv", help="write the rows to this file too")
    args = parser.parse_args()
    try:
        import torch
    except ImportError:
        torch = None
        print("PyTorch is not installed: only our own times are measured")
    print(", ".join(f"{k} {v}" for k, v in facts().items()))
    rows = []
    for group in args.groups or GROUPS:
        for row in GROUPS[group](torch):
            show(row)
            rows.append(row)
    if args.csv:
        write(rows, args.csv)


if __name__ == "__main__":
    main()
