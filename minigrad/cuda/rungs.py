"""rungs: which body multiplies matrices on the device "cuda" and its simulator, from the plainest kernel up.

`chosen` is what launches ask: the rung that was set by `use_matmul`, or AUTO. A rung is a row of RUNGS; its kernels are
`matmul_forward_<rung>` and the names that begin so. Those of float32 lie in csrc/cuda/matmul.cu, those
of two-byte floats, `matmul_forward_<dtype>_<rung>`, in csrc/cuda/matmul_half.cu.
"""

from typing import NamedTuple

AUTO = "auto"  # cuBLAS on a GPU; where that cannot be, a rung that fits the shape
CUBLAS = "cublas"


class Rung(NamedTuple):
    """One body: the dtypes that it multiplies, the oldest architecture that runs it, and what it improves."""

    dtypes: tuple
    architecture: int
    improves: str


FLOAT = ("float32",)
HALVES = ("float16", "bfloat16")
RUNGS = {
    "naive": Rung(FLOAT, 75, "a thread for each result, neighbouring threads down a column: the definition"),
    "coalesced": Rung(FLOAT, 75, "neighbouring threads along a row: what a warp reads and writes lies side by side"),
    "tiled": Rung(FLOAT, 75, "blocks share tiles of 16 x 16 in shared memory: 16 times fewer reads of global memory"),
    "register": Rung(FLOAT, 75, "4 x 4 results in the registers of a thread: 4 times fewer reads of shared memory"),
    "vectorized": Rung(FLOAT, 75, "8 x 8 results a thread, four elements at a time from either memory: fewer accesses"),
    "warp_tiled": Rung(FLOAT, 75, "no conflicts of banks, and the next tiles on their way meanwhile: less waiting"),
    "plain": Rung(HALVES, 75, "two-byte floats added up in float32, a thread for each result: the definition"),
    "wmma": Rung(HALVES, 75, "tensor cores (nvcuda::wmma): a warp multiplies 16 x 16 x 16 elements at once"),
    "mma": Rung(HALVES, 75, "tensor cores (mma.sync), tiles of 128 x 128, loads beside them: no waiting for memory"),
    "wgmma": Rung(HALVES, 90, "sm_90a: warpgroups multiply from shared memory, which TMA fills: fewer instructions"),
    CUBLAS: Rung(
        ("float32", "float16", "bfloat16"), 75, "NVIDIA's own, on a GPU: what the others are measured against"
    ),
}
_chosen: dict = {}  # dtype's name -> rung


def chosen(dtype):
    """The name of the rung that multiplies matrices of a dtype, AUTO where none was asked for."""
    return _chosen.get(_name(dtype), AUTO) if _chosen else AUTO


def matmul_rungs(dtype=None):
    """{rung: a sentence on what it improves}, from the plainest up; of one dtype, or all.

    >>> import minigrad as mg
    >>> mg.cuda.matmul_rungs()["coalesced"]
    'neighbouring threads along a row: what a warp reads and writes lies side by side'
    """
    return {n: r.improves for n, r in RUNGS.items() if dtype is None or _name(dtype) in r.dtypes}


class use_matmul:
    """Multiply matrices with one rung from now on; as a context manager, inside the block only.

    Args:
        name (str): one of `matmul_rungs()`, or "auto": cuBLAS on a GPU, and on the simulator, which has none, a rung
            that fits the shape. "cublas" means the same there.
        dtype (optional): whose matrices; all that the rung multiplies unless given.
    Errors: ValueError for a rung that is not there, or one that does not multiply `dtype`.

    >>> import minigrad as mg
    >>> a = mg.ones(2, 3, device="cuda-sim")
    >>> with mg.cuda.use_matmul("tiled"):
    ...     a @ a.mT
    tensor([[3., 3.],
            [3., 3.]], device='cuda-sim')
    """

    def __init__(self, name, dtype=None):
        self.before = dict(_chosen)
        for each in _dtypes(name, dtype):
            _chosen[each] = name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        _chosen.clear()
        _chosen.update(self.before)


def _dtypes(name, dtype):
    """Names of the dtypes that a choice is made for."""
    if name not in (AUTO, *RUNGS):
        raise ValueError(f"[use_matmul] unknown rung {name!r}, expected one of {', '.join((AUTO, *RUNGS))}")
    known = RUNGS[CUBLAS if name == AUTO else name].dtypes
    if dtype is None:
        return known
    if _name(dtype) not in known:
        raise ValueError(f"[use_matmul] rung {name!r} on {_name(dtype)}, expected one of {', '.join(known)}")
    return (_name(dtype),)


def _name(dtype):
    return getattr(dtype, "name", None) or str(dtype)
