"""report: the table of README.md, made from the rows of a CSV file: `python -m benchmarks --from A.csv --report`.

A test holds README.md against the file that it names, so that no figure there is typed by hand.
"""

import statistics

from benchmarks import table

WORKLOADS = ("step", "inference", "epoch")
HEAD = """| workload | minigrad | captured | PyTorch | another form of it | ratio | captured | of the floor |
|---|---|---|---|---|---|---|---|"""


def report(path):
    """Markdown: one line for each workload, then what is to be said of the ops and of memory."""
    rows, facts = table.read(path)
    plain = {row.row: row for row in rows if row.group in WORKLOADS and not row.row.endswith(", captured")}
    replayed = {row.row.removesuffix(", captured"): row for row in rows if row.row.endswith(", captured")}
    lines = [line(row, replayed.get(name)) for name, row in plain.items()]
    return "\n".join([HEAD, *lines, "", summary(rows, facts)])


def line(row, captured):
    best = captured or row
    share = f"{best.share:.0%}" if best.share == best.share else ""
    cells = [row.row, time(row.ours, row.unit), time(captured.ours, row.unit) if captured else ""]
    cells += [time(row.theirs, row.unit), variant(row)]
    cells += [times(row.ratio), times(captured.ratio) if captured else "", share]
    return f"| {' | '.join(cells)} |"


def variant(row):
    """The best of PyTorch's times in forms that are not its default, and which form that is."""
    others = {name: value for name, value in row.others.items() if name.startswith(("torch ", "torch."))}
    if not others:
        return ""
    best = min(others, key=others.get)
    return f"{time(others[best], row.unit)}, {best.removeprefix('torch').split(',')[0].strip(' .')}"


def time(value, unit):
    return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"


def times(ratio):
    return f"{ratio:.1f}×" if ratio >= 10 else f"{ratio:.2f}×"


def summary(rows, facts):
    """What the table does not show, with the worst rows of all."""
    steps = [row for row in rows if row.group == "step"]
    captured = [row for row in steps if row.row.endswith(", captured")]
    plain = [row for row in steps if row not in captured]
    ops = sorted((row for row in rows if row.group == "ops" and row.ratio == row.ratio), key=lambda row: row.ratio)
    memory = [row for row in rows if row.group == "memory" and row.row.endswith("growth")]
    parts = [
        f"Measured on {facts['device']} ({facts['isa']}, {facts['threads']} threads), {facts['date']}, "
        f"PyTorch {facts['torch version']}."
    ]
    if plain:
        parts.append(f"Geometric mean over the training steps: {mean(plain)}.")
    if captured:
        parts.append(f"Captured: {mean(captured)}.")
    if ops:
        behind = [row for row in ops if row.ratio < 1]
        worst = ", ".join(f"{row.row} ({times(row.ratio)})" for row in behind[:5])
        parts.append(f"Over {len(ops)} rows of single ops: {mean(ops)}; {len(behind)} are slower than PyTorch's.")
        parts.append(f"The furthest behind: {worst}." if behind else "")
    if memory:
        parts.append(f"Peak memory over what the import takes: {mean(memory)} as much in PyTorch.")
    return " ".join(filter(None, parts))


def mean(rows):
    return times(statistics.geometric_mean(row.ratio for row in rows))
