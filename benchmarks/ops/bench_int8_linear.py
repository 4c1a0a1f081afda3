"""int8_linear: weights of one byte, few rows, against PyTorch's float32 layer and its own layer of bytes.

PyTorch's (`quantize_dynamic`) rounds the inputs to bytes too, and multiplies whole numbers.
"""

import warnings

import numpy as np

from benchmarks.ops import Step


def layers(rows, k, n, quantized):
    def make(fw):
        rng = np.random.default_rng(0)
        layer, x = fw.nn.Linear(k, n).requires_grad_(False), fw.tensor(rng.standard_normal((rows, k), np.float32))
        if hasattr(fw.nn, "Int8Linear"):
            layer = fw.nn.Int8Linear.from_linear(layer)
        elif quantized:
            with warnings.catch_warnings(action="ignore"):  # it is to move to another package
                layer = fw.ao.quantization.quantize_dynamic(fw.nn.Sequential(layer), {fw.nn.Linear})
        return lambda: layer(x)

    rival = "quantize_dynamic" if quantized else "float32 Linear"
    moved = rows * (k + n) + k * n / 4
    return Step(f"Int8Linear {rows}x{k}x{n} against {rival}", make, moved, 2 * rows * k * n)


SHAPES = [
    (1, 128, 256),
    (1, 768, 768),
    (1, 768, 3072),
    (1, 3072, 768),
    (1, 768, 50257),
    (4, 768, 3072),
    (128, 768, 3072),
]
ROWS = [layers(*shape, quantized) for shape in SHAPES for quantized in (False, True)]
