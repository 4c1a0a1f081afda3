"""Mutants: our own kernels with one planted fault each, and what the simulator reports of it."""

import re
import shutil

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.devices import kernels
from minigrad.backend.simulated import SimArray
from minigrad.cuda import KernelError, build, simulator
from tests.cuda.test_kernels import INDEX, blank, copies, numbers, there

LAYER_NORM = ("layer_norm_forward", blank(2, 1030), blank(2), blank(2), numbers(2, 1030), None, None, 1e-5)
LINEAR = ("linear_forward", blank(70, 65), numbers(70, 20), numbers(65, 20), numbers(65))
ENTROPY = ("cross_entropy_forward", blank(1), blank(3, dtype=np.float64), None, numbers(3, 5), np.arange(3), None,
           -1, 0.1)  # fmt: skip
EMBEDDING = ("embedding_backward", blank(57, 45), numbers(200, 45), INDEX)
COLUMNS = ("layer_norm_backward", blank(9, 70), blank(70), None, numbers(9, 70), numbers(9, 70), None, numbers(9),
           numbers(9))  # fmt: skip
SUM = ("sum_forward", blank(2, 70), numbers(2, 19, 70))
SOFTMAX = ("softmax_forward", blank(2, 1500, 1), numbers(2, 1500, 1))
NARROW = [a.astype(np.float16) for a in (blank(20, 40), numbers(20, 200), numbers(40, 200))]
PRODUCT = ("matmul_forward_float16", *NARROW, False, True)
BROAD = [a.astype(np.float16) for a in (blank(72, 64), numbers(72, 584), numbers(64, 584))]
WIDE = ("matmul_forward_float16", *BROAD, False, True)
TILED = ("tiled:matmul_forward", blank(20, 20), numbers(20, 40), numbers(40, 20), False, False)
WARP_TILED = ("warp_tiled:linear_forward", blank(130, 20), numbers(130, 20), numbers(20, 20), None)
SHORT_ROWS = ("softmax_forward", blank(3, 7, 1), numbers(3, 7, 1))

CUMSUM = ("cumsum_forward", blank(1, 8200, 1), numbers(1, 8200, 1))
RECURRENCE = ("recurrence_forward", blank(1, 600, 1), 0.9 * numbers(1, 600, 1), numbers(1, 600, 1))
LINES = ("cumprod_forward", blank(2, 70, 35), numbers(2, 70, 35))
SORT = ("sort_forward", blank(1, 5000), blank(1, 5000, dtype=np.int64), numbers(1, 5000), False)
SHORT_SORT = ("sort_forward", blank(2, 300), blank(2, 300, dtype=np.int64), numbers(2, 300), False)
TOPK = ("topk_forward", blank(2, 9), blank(2, 9, dtype=np.int64), numbers(2, 3000), True)

MUTANTS = [  # name, file, text, its replacement, run, kind of fault
    ("no barrier before a block's parts are written", "common.cuh",
     "__syncthreads();  // the last merge may still be reading", "", LAYER_NORM, "race"),
    ("no barrier behind them", "common.cuh", "parts[warp] = value;\n    __syncthreads();",
     "parts[warp] = value;", SOFTMAX, "uninitialised"),
    ("all warps write one part", "common.cuh", "parts[warp] = value", "parts[0] = value", SOFTMAX, "race"),
    ("too few parts", "common.cuh", "kMaxWarps = 32", "kMaxWarps = 4", SOFTMAX, "out of bounds"),
    ("half a mask", "common.cuh", "kAllLanes = 0xffffffffu", "kAllLanes = 0x0000ffffu", SOFTMAX, "undefined lane"),
    ("no barrier behind the tiles' loads", "gemm.cuh", "    __syncthreads();\n    const int depth",
     "    const int depth", LINEAR, "uninitialised"),
    ("no barrier behind their use", "gemm.cuh", "    }\n    __syncthreads();\n  }\n#pragma", "    }\n  }\n#pragma",
     LINEAR, "race"),
    ("one row too many is loaded", "gemm.cuh", "row0 + ar < m", "row0 + ar <= m", LINEAR, "out of bounds"),
    ("one column too many is stored", "gemm.cuh", "c < n)", "c <= n)", LINEAR, "out of bounds"),
    ("a tile too narrow", "gemm.cuh", "a_tile[kDepth][kTile + 4]", "a_tile[kDepth][kTile - 4]", LINEAR,
     "out of bounds"),
    ("a wrong stride of the weights", "linear.cuh", "(column) * in", "(column) * (in + 1)", LINEAR,
     "out of bounds"),
    ("no barrier before the next tiles", "matmul.cu", "__syncthreads();  // before the next tiles are written", "",
     TILED, "race"),
    ("tiles of a side too short", "matmul.cu", "a_tile[kSide][kSide + 1]", "a_tile[kSide - 1][kSide + 1]", TILED,
     "out of bounds"),
    ("four where there are fewer", "gemm128.cuh", "there > 3 ? at[3] : 0.0f", "at[3]", WARP_TILED, "out of bounds"),
    ("aligned where nothing is", "gemm128.cuh", "if (fours && there >= 4) return", "if (there >= 4) return",
     ("warp_tiled:linear_forward", blank(9, 9), numbers(9, 9), numbers(9, 9), None), "misaligned"),
    ("no barrier between two slabs", "gemm128.cuh",
     "__syncthreads();  // this slab is there, and the other one was read", "",
     WARP_TILED, "uninitialised"),
    ("the slab that is being read is written", "gemm128.cuh", "a_slabs[now ^ 1], next_a", "a_slabs[now], next_a",
     WARP_TILED, "race"),
    ("one row too many of a panel", "gemm128.cuh", "there = end - across", "there = end - across + 1", WARP_TILED,
     "out of bounds"),
    ("a bias that is not there", "linear.cuh", "if (there > 3) v.w", "v.w",
     ("warp_tiled:linear_forward", blank(3, 7), numbers(3, 4), numbers(7, 4), numbers(7)), "out of bounds"),
    ("no barrier in a sum of columns", "linear.cuh", "  __syncthreads();\n", "",
     ("linear_backward_bias", blank(40), numbers(21, 40)), "uninitialised"),
    ("one element too many", "reduce.cu", "i < n; i += 8", "i <= n; i += 8", SUM, "out of bounds"),
    ("no barrier between the parts of a column", "reduce.cu", "  __syncthreads();\n", "", SUM, "uninitialised"),
    ("one row too many is reduced", "reduce.cu", "if (row >= rows) return;", "if (row > rows) return;",
     ("max_forward", blank(3, 1), blank(3, 1, dtype=np.int64), numbers(3, 5, 1)), "out of bounds"),
    ("columns that are not there", "norm.cuh", "r < rows && c < cols;", "r < rows;", COLUMNS, "out of bounds"),
    ("no barrier between the parts of a gradient", "norm.cuh", "  __syncthreads();\n", "", COLUMNS, "uninitialised"),
    ("a wrong stride of rows", "softmax.cu", "inner * cols +", "inner * (cols + 1) +", SHORT_ROWS, "out of bounds"),
    ("indices that are not there", "embedding.cu", "begin + lane < n && ", "", EMBEDDING, "out of bounds"),
    ("stores without a bound", "embedding.cu", "if (column < cols) dw", "dw", EMBEDDING, "race"),
    ("the last elements of a stream", "random.cu", "if (first + i < n) f", "f", ("uniform_fill", blank(1025), 7, 3),
     "out of bounds"),
    ("chunks without an end", "tensors.cuh", "begin + kChunk < size ? begin + kChunk : size", "begin + kChunk",
     ("clip_norm", [numbers(5), numbers(7)], np.full((), 3, np.float32), 0.1), "out of bounds"),
    ("half a warp in a shuffle", "cross_entropy.cu", "smooth = sum<Warp>(smooth)",
     "if (Warp::rank() < 16) smooth = sum<Warp>(smooth)", ENTROPY, "undefined lane"),
    ("copies that nobody waits for", "mma.cuh", "    cp_async_wait<Mma::kStages - 2>();", "", PRODUCT,
     "not waited for"),
    ("a wait that leaves one group too many", "mma.cuh", "kStages - 2>();", "kStages - 1>();", PRODUCT,
     "not waited for"),
    ("groups that are not counted", "mma.cuh", "    cp_async_commit();  //", "    //", PRODUCT, "not waited for"),
    ("no barrier behind the wait for copies", "mma.cuh", "    __syncthreads();  ", "    ", PRODUCT, "uninitialised"),
    ("a load into the tiles that are read", "mma.cuh", "load(step + Mma::kStages - 1);", "load(step + Mma::kStages);",
     PRODUCT, "not waited for"),
    ("a tile too short", "mma.cuh", "T b_tiles[Mma::kStages][Mma::kTile]", "T b_tiles[Mma::kStages - 1][Mma::kTile]",
     PRODUCT, "out of bounds"),
    ("a load of rows that are not there", "mma.cuh", "row < rows && ", "", PRODUCT, "out of bounds"),
    ("boxes that nobody waits for", "wgmma.cuh", "    mbarrier_wait(&full[step % Wgmma::kStages], round(step));\n", "",
     WIDE, "uninitialised"),
    ("a wait for the other parity", "wgmma.cuh", "kStages], round(step));", "kStages], round(step) ^ 1);", WIDE,
     "uninitialised"),
    ("boxes into a stage that is read", "wgmma.cuh", "mbarrier_wait(&empty[slot], round(step) ^ 1);", "", WIDE,
     "mbarrier"),
    ("a producer that waits for what is never filled", "wgmma.cuh", "round(step) ^ 1);", "round(step));", WIDE,
     "deadlock"),
    ("a stage given back before it was read", "wgmma.cuh", "wgmma_wait<1>();\n      release(step - 1);",
     "release(step - 1);\n      wgmma_wait<1>();", WIDE, "race"),
    ("products that are not waited for", "wgmma.cuh", "wgmma_wait<1>();", "wgmma_wait<2>();", WIDE, "race"),
    ("fewer arrivals than warps", "wgmma.cuh", "kConsumerWarps = 8", "kConsumerWarps = 7", WIDE, "race"),
    ("bytes that never come", "wgmma.cuh", "full[slot], Wgmma::kStageBytes", "full[slot], 2 * Wgmma::kStageBytes", WIDE,
     "deadlock"),
    ("barriers that TMA knows nothing of", "wgmma.cuh", "    fence_mbarrier_init();\n", "", WIDE, "missing fence"),
    ("no barrier behind the barriers' making", "wgmma.cuh", "  __syncthreads();\n", "", WIDE, "race"),
    ("no fence before products", "wgmma.cuh", "    wgmma_fence();\n", "", WIDE, "missing fence"),
    ("a box too far", "wgmma.cuh", "tile + i * Wgmma::kBoxElements", "tile + (i + 22) * Wgmma::kBoxElements", WIDE,
     "out of bounds"),
    ("no barrier before the parts of a scan", "scan.cuh", "__syncthreads();  // the last scan may still be reading", "",
     CUMSUM, "race"),
    ("no barrier in an exchange of a warp", "cumulative.cu", "load(k * kWarp + lane);\n  __syncwarp();",
     "load(k * kWarp + lane);", CUMSUM, "uninitialised"),
    ("a buffer without padding", "cumulative.cu", "kPadded = kSegment + kSegment / kWarp", "kPadded = kSegment", CUMSUM,
     "race"),
    ("the second numbers too early", "cumulative.cu",
     "__syncwarp();  // the first numbers may still be taken out of the buffer", "", RECURRENCE, "race"),
    ("elements behind the end of a row", "cumulative.cu", "if (i < end) y[", "y[", RECURRENCE, "out of bounds"),
    ("lines that are not there", "cumulative.cu", "line >= lines ? begin : ", "", LINES, "out of bounds"),
    ("one digit too few", "radix.cuh", "found[kDigits];\n  const Size row",
     "found[kDigits - 1];\n  const Size row", SORT, "out of bounds"),
    ("counts without atomics", "radix.cuh",
     "atomicAdd(&found[keys[row * n + i] >> shift & (kDigits - 1)], 1)",
     "++found[keys[row * n + i] >> shift & (kDigits - 1)]", SORT, "race"),
    ("ranks read while they are counted", "radix.cuh",
     "((1u << lane) - 1u));\n    __syncwarp();", "((1u << lane) - 1u));", SORT, "race"),
    ("a network without barriers", "sort.cu", "      __syncthreads();\n      for (int i", "      for (int i",
     SHORT_SORT, "uninitialised"),
    ("a digit chosen before all have read the last", "sort.cu",
     "__syncthreads();  // all have read before the next digit is found", "", TOPK, "race"),
    ("a barrier that not all reach", "common.cuh", "if (lane == 0) parts[warp] = value;\n    __syncthreads();",
     "if (lane == 0) {\n      parts[warp] = value;\n      __syncthreads();\n    }", SOFTMAX, "uninitialised"),
]  # fmt: skip


def run(name, *args):
    rung, _, name = name.rpartition(":")
    with mg.cuda.simulate(mode="check"), mg.cuda.use_matmul(rung or "auto"):
        kernels(SimArray)[name](*copies(args, there))


def keep_few_entries(path):
    """Leave of a file's many entry points those that run here: it compiles much faster."""
    others = r"^(MMA|WGMMA)\((?!\w+float16_\w+_rows_columns).*\n"
    path.write_text(re.sub(others, "", path.read_text(), flags=re.MULTILINE))


@pytest.fixture
def planted(monkeypatch, tmp_path):
    """A function that puts a fault into a copy of the sources, from which kernels are then made."""

    def plant(file, text, replacement):
        shutil.copytree(build.kernel_folder(), tmp_path / "cuda")
        monkeypatch.setattr(build, "kernel_folder", lambda: tmp_path / "cuda")
        for function in ("load", "load_file"):  # without their caches
            monkeypatch.setattr(simulator, function, getattr(simulator, function).__wrapped__)
        source = (tmp_path / "cuda" / file).read_text()
        assert text in source, f"{file} has changed"
        (tmp_path / "cuda" / file).write_text(source.replace(text, replacement, 1))
        keep_few_entries(tmp_path / "cuda" / "matmul_half.cu")

    return plant


@pytest.mark.parametrize("name, file, text, replacement, row, kind", MUTANTS, ids=[m[0] for m in MUTANTS])
def test_a_mutant_is_reported(name, file, text, replacement, row, kind, planted):
    run(*row)
    planted(file, text, replacement)
    with pytest.raises(KernelError) as caught:
        run(*row)
    error = caught.value
    assert error.kind == kind, str(error)
    assert error.line, str(error)
    lines = (build.kernel_folder() / error.file).read_text().split("\n")
    assert lines[error.line - 1].strip() not in ("", "}"), str(error)
