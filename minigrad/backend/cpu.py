"""The C++ backend: which extension module serves, and what it offers. Never raises at import.

There is one module per instruction set (`minigrad._C_baseline`, `_C_avx2`, `_C_avx512`), built from the same sources.
`_choose` takes the best that the processor runs; `MINIGRAD_ISA` asks for another, `MINIGRAD_BACKEND=numpy` for none.
Where there is no module, `kernels()` is empty, `isa()` is None, and `reason()` says why.
"""

import importlib
import os

import numpy as np

ISAS = {  # the best first: what each needs of the processor
    "avx512": ("avx2", "fma", "bmi2", "avx512f", "avx512bw", "avx512dq", "avx512vl"),
    "avx2": ("avx2", "fma", "bmi2"),
    "baseline": (),
}
switched_off = os.environ.get("MINIGRAD_BACKEND") == "numpy"


def _load(isa):
    """The extension module for `isa`, or None, and the reason for None."""
    try:
        return importlib.import_module(f"minigrad._C_{isa}"), None
    except ImportError as error:
        return None, f"the C++ extension is not built for {isa} ({error})"


def _choose():
    """The module to use, and why it is not the one that was asked for (or None)."""
    if switched_off:
        return None, "MINIGRAD_BACKEND=numpy"
    baseline, reason = _load("baseline")
    if baseline is None:
        return None, reason
    flags, wanted = baseline.cpu_flags(), os.environ.get("MINIGRAD_ISA")
    if wanted and wanted not in ISAS:
        reason = f"MINIGRAD_ISA={wanted} is none of {', '.join(ISAS)}"
    for isa in [wanted, *ISAS] if wanted in ISAS else ISAS:
        missing = [need for need in ISAS[isa] if not flags.get(need)]
        module, why = (None, f"this processor lacks {', '.join(missing)}") if missing else _load(isa)
        if module is not None:
            return module, reason
        if isa == wanted:
            reason = f"MINIGRAD_ISA={wanted}: {why}"
    return None, reason


_module, _reason = _choose()


def isa():
    """The instruction set of the module in use, or None."""
    return _module.isa if _module else None


def reason():
    """Why the extension, or the instruction set that was asked for, is not in use; None when all is well."""
    return _reason


def kernels():
    """Every C++ kernel by name; empty where there is no extension."""
    return {name: getattr(_module, name) for name in _module.KERNELS} if _module else {}


def cpu_flags():
    """Instruction sets of this processor, name to bool; empty where there is no extension."""
    return _module.cpu_flags() if _module else {}


# empty(shape, dtype): an uninitialised array, 64-byte aligned and from the buffer pool where there is an extension.
empty = getattr(_module, "empty", np.empty)
# divert_empty(function): `empty` asks this function first, and returns what it gives unless that is None.
divert_empty = getattr(_module, "divert_empty", None)
# A list of recorded kernel calls (csrc/program.cpp); None where there is no extension.
new_program = getattr(_module, "Program", None)
# The thread and buffer pools; None where there is no extension.
set_num_threads = getattr(_module, "set_num_threads", None)
get_num_threads = getattr(_module, "get_num_threads", None)
memory_stats = getattr(_module, "memory_stats", None)
reset_peak = getattr(_module, "reset_peak", None)
empty_cache = getattr(_module, "empty_cache", None)
