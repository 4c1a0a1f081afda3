"""Comparing and judging: nothing here knows what an entry is about.

Read `same` (equality of nested numbers), `differences` (computed against expected), `explains` (does a reading account
for a printed number?) and `verdict` (the words, decided by the computed values alone).
"""

import math
from collections.abc import Iterator
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Any

from .registry import Finding

RELATIVE = 1e-11  # twelve printed digits are good to 5e-12
ABSOLUTE = 1e-14  # what is left of an exact zero in float64

NO_CLAIM = {
    "described": "no formula printed",
    "derived": "no printed value",
    "network": "reference computation",
}


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(left: Any, right: Any, relative: float = RELATIVE) -> bool:
    """Equal structure, equal words, and numbers equal within `relative` (within 1e-14 next to zero)."""
    if is_number(left) and is_number(right):
        return math.isclose(left, right, rel_tol=relative, abs_tol=ABSOLUTE)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b, relative) for a, b in zip(left, right, strict=True))
    return type(left) is type(right) and left == right


def differences(computed: Any, expected: Any, relative: float = RELATIVE, path: str = "") -> Iterator[str]:
    """One line for each value that is missing, extra or not the same."""
    if not (isinstance(computed, dict) and isinstance(expected, dict)):
        if not same(computed, expected, relative):
            yield f"{path}: computed {computed}, expected {expected}"
        return
    for name in expected.keys() | computed.keys():
        where = f"{path}.{name}" if path else name
        if name not in computed:
            yield f"{where}: expected {expected[name]}, but nothing was computed"
        elif name not in expected:
            yield f"{where}: computed {computed[name]}, but nothing is expected"
        else:
            yield from differences(computed[name], expected[name], relative, where)


def shortened(value: float, like: float, rounding: str) -> float:
    """`value` with as many decimals as `like` is printed with."""
    return float(Decimal(repr(value)).quantize(Decimal(repr(like)), rounding=rounding))


def rounds_to(printed: Any, value: Any) -> bool:
    """`printed` is `value` rounded to the decimals that are printed (element by element for lists)."""
    if isinstance(printed, list) and isinstance(value, list):
        return len(printed) == len(value) and all(map(rounds_to, printed, value))
    return is_number(printed) and is_number(value) and shortened(value, printed, ROUND_HALF_EVEN) == printed


def explains(value: Any, printed: Any) -> bool:
    """Whether `value`, as it is, rounded or cut off, is the printed one."""
    if same(value, printed) or rounds_to(printed, value):
        return True
    return is_number(printed) and is_number(value) and shortened(value, printed, ROUND_DOWN) == printed


def verdict(entry: dict, finding: Finding) -> str:
    """A printed number is judged against the computed one and the premises it needs; a formula, by its cases."""
    agreements = [same(case.states, case.right) for case in finding.cases]
    if entry["kind"] == "numeric":
        return numeric_verdict(entry["printed"], finding.values[entry.get("compare_with", "computed")], all(agreements))
    if not agreements:
        return NO_CLAIM[entry["kind"]]
    if all(agreements):
        return "correct"
    return "correct under a condition" if any(agreements) else "wrong in the document"


def numeric_verdict(printed: Any, computed: Any, premises_hold: bool) -> str:
    if premises_hold and same(printed, computed):
        return "correct"
    if premises_hold and rounds_to(printed, computed):
        return "rounded"
    return "wrong in the document"
