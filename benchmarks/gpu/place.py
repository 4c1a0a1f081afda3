"""place: a device, and how a figure is taken there.

The contenders of a row take turns. Before each call the second-level cache is flushed: a buffer of twice its size is
filled, which also keeps the GPU busy while Python prepares the launches; two events around the call, behind the flush,
give its time. Whole steps are timed by the clock instead, several in a row and then waiting: that is what a user sees.
A row reports the median and the quartiles of ours, the medians of the rivals', and the median of the ratios taken turn
by turn. Simulated devices have no time of their own: there the clock is read, and the figures mean nothing.

Reading order: `Place`, `Place.contest`, `use`.
"""

import contextlib
import os
import subprocess
import time

import numpy as np

import minigrad as mg
from benchmarks import measure
from benchmarks.measure import Contender, row_of
from minigrad.backend import array, devices

LEAST = 512 << 20  # bytes that are filled before a call: as long as Python takes to prepare it
SMOKE = "smoke: a simulated device, the figures mean nothing"


class Place:
    """A device of minigrad by name, with CuPy's module (numpy's on the simulator) as `xp`."""

    def __init__(self, name, smoke=False, seconds=1.0):
        self.name, self.smoke, self.most = devices.known("benchmarks", name), smoke, seconds
        self.real = name == "cuda" and _cupy().__name__ == "cupy"
        if not (self.real or smoke):
            raise SystemExit(f"{name} is simulated: times there say nothing about a GPU; --smoke tries the commands")
        self.xp = _cupy() if name == "cuda" else np
        self.ceilings = None  # a benchmarks.ceilings.Ceilings, once measured
        cache = _cupy().cuda.Device().attributes["L2CacheSize"] if self.real else 0
        self.buffer = self.empty((max(2 * cache, LEAST if self.real else 1024) // 4,))
        self.rounds = (7, 101) if self.real else (2, 2)

    def empty(self, shape, dtype=np.float32):
        with devices.on(self.name):
            return array.empty(shape, dtype)

    def array(self, x):
        return devices.move(x, self.name)

    def on(self, torch=None):
        """Inside the block both frameworks make tensors there."""
        stack = contextlib.ExitStack()
        stack.enter_context(devices.on(self.name))
        if torch and self.real:
            stack.enter_context(torch.device("cuda"))
        return stack

    def wait(self):
        if self.name == "cuda":
            mg.cuda.synchronize()

    def flush(self):
        self.buffer.fill(0)

    def sample(self, call):
        """Starts a call between two marks; what this returns gives its seconds, after `wait`."""
        if not self.real:
            self.flush()
            begin = time.perf_counter()
            call()
            end = time.perf_counter()
            return lambda: end - begin
        marks = [mg.cuda.Event(enable_timing=True) for _ in "ab"]
        self.flush()
        marks[0].record()
        call()
        marks[1].record()
        return lambda: marks[0].elapsed_time(marks[1]) / 1e3

    def clocked(self, call, least=0.02):
        """Seconds of the clock per call: as many as fill `least` seconds, then wait."""
        calls, begin = 0, time.perf_counter()
        while not calls or (time.perf_counter() - begin < least and not self.smoke):
            call()
            calls += 1
        self.wait()
        return (time.perf_counter() - begin) / calls

    def times(self, contenders, clock=False):
        """Name -> seconds per call of each round."""
        times = {name: [] for name in contenders}
        for contender in contenders.values():
            for _ in range(1 if self.smoke else 3):
                contender.call()
        self.wait()
        end, done, (least, most) = time.perf_counter() + self.most, 0, self.rounds
        while done < least or (done < most and time.perf_counter() < end):
            found = {n: (self.clocked if clock else self.sample)(c.call) for n, c in contenders.items()}
            self.wait()
            for name, value in found.items():
                times[name].append(value if clock else value())
            done += 1
        return times

    def contest(self, group, name, ours, rivals=None, unit="us", work=None, clock=False):
        """As `measure.contest`: one Row for each of ours."""
        calls = {**{("ours", label): call for label, call in ours.items()}, **(rivals or {})}
        contenders = {n: c if isinstance(c, Contender) else Contender(c) for n, c in calls.items()}
        times = self.times(contenders, clock)
        theirs = {n: times[n] for n in rivals or {}}
        rows = [row_of(group, name + label, unit, times["ours", label], theirs, work) for label in ours]
        for row in rows:
            row.note = SMOKE if self.smoke else row.note
        return rows

    def rate(self, group, name, call, amount, unit):
        """A Row of a rate: `amount` over the median time, quartiles too."""
        row = row_of(group, name, "s", self.times({"": Contender(call)})[""])
        ours, low, high = (amount / t / 1e9 for t in (row.ours, row.high, row.low))
        return measure.Row(group, name, unit, ours, low, high, note=SMOKE if self.smoke else "")

    def facts(self):
        """What `table.facts` cannot know."""
        if not self.real:
            return {"device": f"{self.name}, {SMOKE}", "isa": "simulated"}
        runtime, device = self.xp.cuda.runtime, self.xp.cuda.Device()
        name = runtime.getDeviceProperties(device.id)["name"].decode()
        versions = f"driver {runtime.driverGetVersion()}, CUDA {runtime.runtimeGetVersion()}"
        known = f"{name}, {versions}, CuPy {self.xp.__version__}, {state()}"
        return {"device": known, "isa": f"sm_{device.compute_capability}"}


def _cupy():
    return devices.gpu.load()


def state():
    """Clocks, power and temperature of the GPU now, as its tool tells them."""
    what = "clocks.sm,clocks.mem,power.draw,temperature.gpu"
    try:
        command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "clocks unknown"


def true_float32(place, torch):
    """Switch off, and assert to be off, the short float32 (TF32) of matrix products, on both sides."""
    assert os.environ.get("CUPY_TF32", "0") in ("", "0"), "CUPY_TF32 is set: products would be rounded to 10 bits"
    products = {"CuPy": lambda a, b: a @ b}
    if torch and place.real:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        products["torch"] = lambda a, b: (torch.as_tensor(a, device="cuda") @ torch.as_tensor(b, device="cuda")).cpu()
    a, b = (np.random.default_rng(s).normal(size=(256, 256)).astype(np.float32) for s in (0, 1))
    exact = a.astype(np.float64) @ b.astype(np.float64)
    for name, product in products.items():
        operands = (a, b) if name == "torch" else (place.array(a), place.array(b))
        found = np.asarray(product(*operands)) if name == "torch" else devices.move(product(*operands), "cpu")
        error = float(np.abs(found - exact).max() / np.abs(exact).max())
        assert error < 1e-5, f"{name}'s float32 product is off by {error:.1e}: is it TF32?"


@contextlib.contextmanager
def use(place):
    """Inside the block `measure.contest`, the rivals and the floors are those of the device."""
    before, measure.device = measure.device, place
    effort = measure.set_effort(measure.QUICK) if place.smoke else measure.effort
    try:
        yield place
    finally:
        measure.device = before
        measure.set_effort(effort)
