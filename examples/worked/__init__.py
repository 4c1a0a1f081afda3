"""Every formula and number of five documents on deep learning, recomputed by the framework.

Read in this order: `registry` (how an entry is written), `judge` (how it is compared and judged), `tools`, `shared`
(formulas that several documents print), `doc000` to `doc004` (the entries), `mazur` (a famous erratum). The data
(inputs, printed and expected values) are in `examples/data/worked_examples.json`; `examples/formulas.py` prints the
table.
"""

from . import doc000, doc001, doc002, doc003, doc004, mazur, shared
from .judge import differences, explains, same, verdict
from .registry import ENTRIES

__all__ = [
    "ENTRIES",
    "differences",
    "doc000",
    "doc001",
    "doc002",
    "doc003",
    "doc004",
    "explains",
    "mazur",
    "same",
    "shared",
    "verdict",
]
