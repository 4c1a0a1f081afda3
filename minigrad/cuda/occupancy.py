"""occupancy: how many blocks of a kernel find room on one multiprocessor at the same time, and what stands in the way.

Source: the table of technical specifications by compute capability in NVIDIA's CUDA programming guide, and the
granularities of cuda_occupancy.h of CUDA 13.0.
"""

from typing import NamedTuple


class Multiprocessor(NamedTuple):
    """What one multiprocessor has: warps and blocks that can be resident, bytes of shared memory, and how those are
    given out: in steps of so many bytes, so many more for each block."""

    warps: int
    blocks: int
    shared: int
    step: int
    reserved: int


MULTIPROCESSORS = {
    "75": Multiprocessor(32, 16, 64 << 10, 256, 0),
    "80": Multiprocessor(64, 32, 164 << 10, 128, 1024),
    "90": Multiprocessor(64, 32, 228 << 10, 128, 1024),
    "100": Multiprocessor(64, 32, 228 << 10, 128, 1024),
    "120": Multiprocessor(48, 24, 100 << 10, 128, 1024),
}
WARP, PARTITIONS, REGISTERS, REGISTER_STEP = 32, 4, 64 << 10, 256  # registers are given to warps, in four partitions


class Occupancy(NamedTuple):
    """Blocks that are resident together, their share of the warps that could be, and what keeps more of them out:
    "warps", "blocks", "registers" or "shared memory"."""

    blocks: int
    share: float
    limit: str


def occupancy(arch, threads, registers, shared):
    """The Occupancy of blocks of `threads` threads with so many registers each and bytes of shared memory together.

    >>> from minigrad.cuda.occupancy import occupancy
    >>> occupancy("80", threads=256, registers=64, shared=8704)
    Occupancy(blocks=4, share=0.5, limit='registers')
    """
    has = MULTIPROCESSORS[arch]
    warps = -(-threads // WARP)
    registers_of_warp = -(-max(registers, 1) * WARP // REGISTER_STEP) * REGISTER_STEP
    bytes_of_block = -(-(shared + has.reserved) // has.step) * has.step
    room = {
        "warps": has.warps // warps,
        "blocks": has.blocks,
        "registers": REGISTERS // PARTITIONS // registers_of_warp * PARTITIONS // warps,
        "shared memory": has.shared // bytes_of_block if bytes_of_block else has.blocks,
    }
    limit = min(room, key=lambda resource: room[resource])
    return Occupancy(room[limit], room[limit] * warps / has.warps, limit)
