"""summary: what a session found, against what it is to show: rows.csv, summary.txt, summary.png.

A target is a sentence, the rows that it is about, what is taken of each, and the bound that the worst must keep.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from math import nan

from benchmarks import table
from benchmarks.measure import Row


@dataclass(frozen=True)
class Target:
    """`value` gives a figure of a row that counts, None of one that does not; `least` or `most` bounds it."""

    text: str
    value: Callable
    least: float = nan
    most: float = nan

    def judge(self, rows):
        """(the worst figure or nan, its row, "reached", "missed" or "not measured")"""
        found = [(v, row.row) for row in rows if (v := self.value(row)) is not None and v == v]
        if not found:
            return nan, "", "not measured"
        value, name = (min if self.least == self.least else max)(found)
        kept = value >= self.least if self.least == self.least else value <= self.most
        return value, name, "reached" if kept else "missed"


def share(row):
    return row.share if row.group == "memory-bound" and "MiB" in row.row else None


def rung(*names, dtype):
    """Our rate over cuBLAS's at 4096, of the better of these rungs: of no other row."""

    def value(row):
        if row.group != "ladder" or not any(row.row == f"{n} {dtype} 4096^3" for n in names):
            return None
        return row.others.get("cuBLAS", nan) / row.ours

    return value


def attention(row):
    """Our time over FlashAttention-2's."""
    flash = row.others.get("torch, FLASH_ATTENTION", nan)
    return row.ours / flash if row.group == "attention" and "bfloat16" in row.row else None


def launch(row):
    return row.ours if row.row == "launch: nothing, our launcher" else None


def step(row):
    plain = row.group == "step" and not row.row.endswith("captured")
    return row.ratio if plain and not row.row.startswith("small") else None


def small(row):
    return row.ratio if row.group == "step" and row.row.startswith("small") and row.row.endswith("captured") else None


def targets():
    import minigrad as mg

    last = [n for n in mg.cuda.matmul_rungs(mg.float32) if n != "cublas"]
    return [
        Target("memory-bound ops, share of the copy's rate at 64 MiB and more", share, least=0.85),
        Target("float32 product, best rung over cuBLAS at 4096", rung(last[-1], dtype="float32"), least=0.85),
        Target("bfloat16 product, mma over cuBLAS at 4096", rung("mma", dtype="bfloat16"), least=0.55),
        Target("bfloat16 product, wgmma over cuBLAS at 4096", rung("wgmma", dtype="bfloat16"), least=0.80),
        Target("attention, time over FlashAttention-2's", attention, most=1.3),
        Target("host time per launch, us", launch, most=3.0),
        Target("training steps, PyTorch eager's time over ours", step, least=1.0),
        Target("small nets captured, PyTorch eager's time over ours", small, least=5.0),
    ]


def rows_of(found):
    """Rows from a session's lines, each once: the last that was taken; and the facts of the last."""
    rows, facts = {}, {}
    for line in found:
        if "values" in line:
            row = Row(**{k: nan if v is None else v for k, v in line["values"].items()})
            rows[row.group, row.row], facts = row, line["facts"]
    return list(rows.values()), facts


def write(session):
    """All three files, from what lies in the session's folder. Returns the text."""
    from benchmarks.gpu_session import lines

    rows, facts = rows_of(lines(session.rows))
    outcomes = {o["case"]: o for o in lines(session.outcomes)}
    text = report(rows, facts, outcomes.values(), [v for v in lines(session.rows) if "mutant" in v])
    (session.folder / "summary.txt").write_text(text + "\n", encoding="utf-8")
    if rows:
        table.write(rows, session.folder / "rows.csv", facts)
        if importlib.util.find_spec("matplotlib"):
            draw(rows, session.folder / "summary.png")
    return text


def report(rows, facts, outcomes, mutants):
    parts = [", ".join(f"{k} {v}" for k, v in facts.items()) or "no row was taken", ""]
    for target in targets():
        value, name, verdict = target.judge(rows)
        bound = f">= {target.least:g}" if target.least == target.least else f"<= {target.most:g}"
        worst = f"{value:.3g} ({name})" if name else ""
        parts.append(f"{verdict:13} {target.text}, {bound}: {worst}")
    parts += ["", *verdicts(mutants), "", "cases"]
    for o in outcomes:
        tail = o["told"][-1] if o["told"] and isinstance(o["told"], list) else o["told"] or ""
        parts.append(f"{o['outcome']:9} {o['seconds']:6.1f} s  {o['case']}: {tail}"[:200])
    return "\n".join(parts)


def verdicts(mutants):
    """On how many planted faults compute-sanitizer says what the simulator says."""
    last = {m["mutant"]: m for m in mutants}
    agreed = [m for m in last.values() if m["found"]]
    if last:
        yield f"planted faults: compute-sanitizer reports {len(agreed)} of {len(last)}, the simulator all"
    yield from (f"  not reported: {m['mutant']} ({m['kind']}, {m['tool']})" for m in last.values() if not m["found"])


# The picture ---------------------------------------------------------------------------------------------------------


def draw(rows, path):
    """Shares of the copy's rate, rungs over cuBLAS, and ratios to PyTorch of steps and attention."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(18, 8), constrained_layout=True)
    bars(axes[0], "share of the measured copy rate", [(r.row, share(r)) for r in rows if share(r) is not None], 0.85)
    ladder = [(r.row, r.others["cuBLAS"] / r.ours) for r in rows if r.group == "ladder" and "cuBLAS" in r.others]
    bars(axes[1], "cuBLAS's time / ours", ladder, 1)
    ratios = [(r.row, r.ratio) for r in rows if r.group in ("step", "attention") and r.ratio == r.ratio]
    bars(axes[2], "PyTorch's time / ours", ratios, 1)
    figure.savefig(path, dpi=70)
    pyplot.close(figure)


def bars(axes, title, pairs, line):
    names, values = [n for n, _ in pairs], [v for _, v in pairs]
    axes.barh(range(len(values)), values, color=["#4c72b0" if v >= line else "#c44e52" for v in values])
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.invert_yaxis()
    axes.axvline(line, color="black", linewidth=1)
    axes.set_title(title)
