"""Programs with worker processes, run in process groups of their own under a hard limit.

Afterwards nothing of a program may be left: no process and no file in shared memory.
"""

import contextlib
import glob
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import pytest

import minigrad as mg

PRELUDE = """
import os, signal, sys, time
import numpy as np
import minigrad as mg
from minigrad.tensor import wrap
from minigrad.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

def listed(batches):
    return [b.tolist() if isinstance(b, mg.Tensor) else b for b in batches]

class Numbers(Dataset):
    def __init__(self, n=10):
        self.n = n
    def __getitem__(self, i):
        return i
    def __len__(self):
        return self.n

class Case(Numbers):
    def __getitem__(self, i):
        if i == 5 and get_worker_info() is not None:
            self.strike()
        return i

class Sleeper(Numbers):
    def __getitem__(self, i):
        time.sleep(60 if i else 0)
        return i
"""


class Program:
    """Starts programs in a folder: definitions at the top level, the rest in the main part."""

    def __init__(self, folder):
        self.path = folder / "program.py"

    def start(self, definitions, main):
        main = textwrap.indent(textwrap.dedent(main), "    ")
        self.path.write_text(f"{PRELUDE}\n{textwrap.dedent(definitions)}\nif __name__ == '__main__':\n{main}\n")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        env = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(mg.__file__))}  # the very minigrad under test
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-W", "ignore::RuntimeWarning", self.path],
            start_new_session=True,
            env=env,
            **pipes,
        )

    def finish(self, process, seconds=60):
        """Its output and its errors."""
        with process:
            try:
                out, err = process.communicate(timeout=seconds)
                assert_all_gone(process.pid)
                return out, err
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def run(self, definitions, main):
        """The output of a program that must end well and in silence."""
        process = self.start(definitions, main)
        out, err = self.finish(process)
        assert (process.returncode, err) == (0, "")
        return out


def assert_all_gone(group, seconds=10):
    """Processes of a group end soon after the first, and leave no files."""
    end = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(group, 0)
            time.sleep(0.02)
        raise AssertionError("a worker process is left")
    left = [f for folder in ("/dev/shm", tempfile.gettempdir()) for f in glob.glob(f"{folder}/minigrad-{group}-*")]
    assert left == []


@pytest.fixture
def program(tmp_path):
    if os.name != "posix":
        pytest.skip("process groups of POSIX")
    return Program(tmp_path)
