"""kernel_file: a user's own kernels, from the text of a `.cu` file to callables."""

from minigrad.backend import devices
from minigrad.cuda import gpu, simulator
from minigrad.cuda.source import signatures


class CudaKernel:
    """A kernel that can be called: `kernel(grid, block, args, shared=0)`.

    Args:
        grid, block (int or tuple): how many blocks, and threads of each, along up to three dimensions.
        args: one for each parameter: Tensors on "cuda-sim", or all on "cuda" (contiguous, of the pointer's type),
            numbers, None for a null pointer.
        shared (int): bytes of dynamic shared memory.
        max_shared (int): the limit on shared memory that the launch asks for.
    Errors: KernelError for what the simulator finds, TypeError and ValueError for arguments that do not fit.
    """

    def __init__(self, module, name):
        self.module, self.name = module, name
        self.parameters = module.signatures[name].parameters

    def __call__(self, grid, block, args, shared=0, max_shared=simulator.SHARED_LIMIT):
        arrays = [getattr(a, "array", a) for a in args]
        if any(isinstance(a, devices.array_types) and devices.device_of(a) == devices.CUDA for a in arrays):
            return gpu.start_own(self.module.source, self.module.file, self.name, grid, block, arrays, shared)
        library = simulator.load(self.module.source, self.module.file, self.module.mode)
        library.launch(self.name, grid, block, arrays, shared, max_shared)

    def __repr__(self):
        shown = ", ".join(f"{'const ' * p.const}{p.ctype}{'*' * p.pointer} {p.name}" for p in self.parameters)
        return f"<kernel {self.name}({shown})>"


class CudaModule:
    """The kernels of a source text, by name: `module.saxpy`, `module["saxpy"]`, `list(module)`."""

    def __init__(self, source, file="kernel.cu", mode="check"):
        self.source, self.file, self.mode = source, file, mode
        self.signatures = signatures(source)
        if not self.signatures:
            raise ValueError('[cuda] the source has no kernel, expected `extern "C" __global__ void name(...)`')
        simulator.load(source, file, mode)

    def __getitem__(self, name):
        if name not in self.signatures:
            raise KeyError(f"[cuda] no kernel {name!r}, expected one of {', '.join(self.signatures)}")
        return CudaKernel(self, name)

    def __getattr__(self, name):
        if name in self.__dict__.get("signatures", ()):
            return self[name]
        raise AttributeError(
            f"[cuda] no kernel {name!r}, expected one of {', '.join(self.__dict__.get('signatures', ()))}"
        )

    def __iter__(self):
        return iter(self.signatures)


def compile(source, name=None, *, file="kernel.cu", mode="check"):
    """Compile CUDA source for the simulator and return its kernel, ready to be called.

    Args:
        source (str): the text of a `.cu` file whose kernels are declared `extern "C" __global__ void name(...)`.
        name (str, optional): which kernel; may be left out if there is one, else the module of all is returned.
        file (str): what messages call the source.
        mode (str): "check" (faults are reported with line, block and thread) or "fast".

    Errors: CompileError with the compiler's message, ValueError without a kernel, SyntaxError for shared memory that is
    not declared in the plain form, RuntimeError without a C++ compiler.

    >>> import minigrad as mg
    >>> double = mg.cuda.compile('''
    ... extern "C" __global__ void twice(float* y, const float* x, int n) {
    ...   int i = blockIdx.x * blockDim.x + threadIdx.x;
    ...   if (i < n) y[i] = 2.0f * x[i];
    ... }''')
    >>> x = mg.tensor([1.0, 2.0, 3.0], device="cuda-sim")
    >>> y = mg.empty_like(x)
    >>> double(1, 32, (y, x, 3))
    >>> y
    tensor([2., 4., 6.], device='cuda-sim')
    """
    module = CudaModule(source, file, mode)
    if name is None and len(module.signatures) > 1:
        return module
    return module[name or next(iter(module))]
