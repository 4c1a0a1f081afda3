"""architecture: which GPU an array lies on, as launches choose by it what to start."""

from functools import cache

from minigrad.backend import devices, simulated

SIMULATED = 90  # csrc/cuda_sim/device.h


def architecture(array):
    """90 for sm_90: that of the GPU that holds an array, or that the simulator stands for.

    >>> import minigrad as mg
    >>> from minigrad.cuda.architecture import architecture
    >>> architecture(mg.zeros(2, device="cuda-sim").array)
    90
    """
    if devices.device_of(array) == simulated.DEVICE:
        return SIMULATED
    return _of_gpu(array.device.id)


@cache
def _of_gpu(number):
    from minigrad.backend import gpu

    return int(gpu.load().cuda.Device(number).compute_capability)
