"""plot: two pictures in one file, the ratio to PyTorch of every workload and op, and a roofline (needs matplotlib)."""

import math

STEPS = ("step", "inference", "epoch")


def draw(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 7), constrained_layout=True)
    ratios(left, [row for row in rows if row.group in STEPS and row.ratio == row.ratio])
    roofline(right, rows)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def ratios(axes, rows):
    """One bar for each workload: how many times as long PyTorch takes."""
    colors = ["#4c72b0" if row.ratio > 1 else "#c44e52" for row in rows]
    bars = axes.barh([row.row for row in rows], [row.ratio for row in rows], color=colors)
    axes.bar_label(bars, [f" {row.ratio:.2f}" for row in rows])
    axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("PyTorch's time / ours (eager, its better number of threads)")


def roofline(axes, rows):
    """Operations per second over operations per byte; the roof is the best that was measured."""
    points = [row for row in rows if row.flops > 0 and row.bytes > 0 and row.group in ("ops", "step", "inference")]
    for group, marker in (("ops", "."), ("step", "s"), ("inference", "^")):
        chosen = [row for row in points if row.group == group]
        axes.plot([r.flops / r.bytes for r in chosen], [speed(r) for r in chosen], marker, label=group)
    top = max((r.ours for r in rows if r.row.startswith("multiply-add")), default=math.nan)
    for place in ("L2", "L3", "memory"):
        slope = max((r.ours for r in rows if r.group == "ceilings" and f" in {place}," in r.row), default=math.nan)
        xs = [0.1, top / slope if slope == slope else 1, 1e4]
        axes.plot(xs, [min(top, slope * x) for x in xs], color="gray", linewidth=1)
        axes.annotate(place, (xs[0], slope * xs[0]), fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="operations / byte", ylabel="GFLOP/s")
    axes.legend()


def speed(row):
    return row.flops / (row.ours / {"us": 1e6, "ms": 1e3, "s": 1.0}[row.unit]) / 1e9
