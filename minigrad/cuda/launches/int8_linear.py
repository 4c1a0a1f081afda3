"""int8_linear: a warp for each output where x has few rows, else 64 x 64 results for each block."""

from minigrad.cuda.launches import Launch, blocks_for, launches
from minigrad.cuda.launches.matmul import tiles

FEW, ROWS, WARPS = 32, 8, 4  # rows of x; of them for a warp; warps in a block


@launches
def int8_linear_forward(y, x, w, scale, bias):
    args = (y, x, w, scale, bias, *y.shape, x.shape[1])
    if len(x) <= FEW:
        grid = (blocks_for(len(w), WARPS), blocks_for(len(x), ROWS))
        yield Launch("int8_linear_forward_few", grid, 32 * WARPS, args)
    else:
        yield Launch("int8_linear_forward_tiles", tiles(*y.shape), 256, args)
