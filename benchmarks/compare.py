"""compare: `python -m benchmarks compare A.csv B.csv` prints what became slower from A to B, beyond noise.

Where both files have an opponent for a row, the ratios to it are compared, since a slow minute hits both sides; else
our times are, or our rates. A row counts as changed when it moved by more than 10 % and by more than the spread (the
distance of the quartiles over the median) of the two rows together.
"""

import argparse

from benchmarks import table

HIGHER_IS_BETTER = {"GFLOP/s", "GB/s"}


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks compare", description=__doc__)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--tolerance", type=float, default=0.1, help="what may always change (0.1: by 10 %%)")
    args = parser.parse_args(arguments)
    (before, known), (after, now) = table.read(args.before), table.read(args.after)
    if known["device"] != now["device"]:
        print(f"different devices: {known['device']} and {now['device']}; only ratios mean something")
    changes = compared(before, after)
    slower = [c for c in changes if c[1] > 1 + max(args.tolerance, c[2])]
    faster = [c for c in changes if c[1] < 1 / (1 + max(args.tolerance, c[2]))]
    for title, found in (("slower", slower), ("faster", faster)):
        print(f"{len(found)} of {len(changes)} rows {title}")
        for name, factor, noise in sorted(found, key=lambda c: -abs(c[1] - 1)):
            print(f"    x{factor if title == 'slower' else 1 / factor:.2f}  {name}  (spread {noise:.0%})")
    return 1 if slower else 0


def compared(before, after):
    """(name, how many times slower, spread) for every row that both have."""
    known = {(row.group, row.row): row for row in before if row.group != "ceilings"}
    pairs = [(known[row.group, row.row], row) for row in after if (row.group, row.row) in known]
    return [(f"{b.group}: {b.row}", slowdown(a, b), spread(a) + spread(b)) for a, b in pairs]


def slowdown(a, b):
    if a.ratio == a.ratio and b.ratio == b.ratio:
        return a.ratio / b.ratio
    return a.ours / b.ours if a.unit in HIGHER_IS_BETTER else b.ours / a.ours


def spread(row):
    return (row.high - row.low) / row.ours if row.low == row.low else 0.0
