"""graph: calls made into CUDA graphs: a stream takes note of their launches, which then are one.

A graph keeps the addresses that it was given, so its memory must stay: scratch memory comes from a pool that no other
work is given anything of and that lives as long as the graphs do. The numbers of a launch are in the graph as well;
where they change from replay to replay, the node is given new ones first.
"""

import gc
from contextlib import contextmanager

from minigrad.backend import gpu
from minigrad.cuda import launcher


def possible():
    """Whether the extension is there: CuPy by itself cannot change a graph's nodes."""
    return launcher.native() is not None


class Graphs:
    """The graphs of one step: the stream that takes note, and their pool."""

    def __init__(self):
        cupy = gpu.load()
        self.stream, self.pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()

    @contextmanager
    def private(self):
        """Inside the block work goes into the stream, and memory comes from the pool."""
        with gpu.cupy.cuda.using_allocator(self.pool.malloc), self.stream:
            yield

    @contextmanager
    def apart(self):
        """As `private`, behind what is in the current stream now, and before what is put there later."""
        current = gpu.cupy.cuda.get_current_stream()
        self.stream.wait_event(current.record())
        try:
            with self.private():
                yield
        finally:
            current.wait_event(self.stream.record())

    def capture(self, steps):
        """A graph of steps, which have run before. Errors: RuntimeError that names the one that cannot be in it."""
        native, stream, changing = launcher.native(), self.stream.ptr, []
        with self.private(), no_garbage():
            native.begin_capture(stream)
            step = None
            try:
                for step in steps:
                    if step.numbers:
                        changing.append(Changing(step, stream))
                    else:
                        step()
                graph = native.end_capture(stream)
            except BaseException as error:
                native.abandon_capture(stream)
                if not isinstance(error, Exception):
                    raise
                raise RuntimeError(f"[capture] {step.name} cannot be part of a graph: {error}") from error
        return Graph(graph, changing, self)


@contextmanager
def no_garbage():
    """Inside the block nothing is collected: what is freed then could talk to the driver."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Changing:
    """A step with numbers that change: its launches are noted one by one, with their nodes."""

    def __init__(self, step, stream):
        self.step, self.values, self.nodes = step, step.values(), []
        self.launches = self.found()  # kept: with them go the arrays that they point to
        for entry, grid, block, args, shared in self.launches:
            start = step.native.start(entry)
            start(grid, block, args, shared)
            self.nodes.append((launcher.native().last_node(stream), start))

    def found(self):
        return [launch for launch in self.step.planned() if launch.blocks]

    def update(self, graph):
        values = self.step.values()
        if values == self.values:
            return
        launches = self.found()
        for (node, start), (_, *launch) in zip(self.nodes, launches, strict=True):
            graph.set_node(node, start, *launch)
        self.values, self.launches = values, launches


class Graph:
    """Some steps as one launch."""

    def __init__(self, native, changing, graphs):
        self.native, self.changing, self.graphs = native, changing, graphs  # which hold the memory

    def __call__(self):
        for step in self.changing:
            step.update(self.native)
        self.native.launch()
