"""The doctor reports what is there and, for each thing missing, the command that mends it."""

import io
import os
import subprocess
import sys

import minigrad
from minigrad import doctor
from minigrad.backend import cpu


def run(**environment):
    command = [sys.executable, "-m", "minigrad.doctor"]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )


def test_reports_versions_kernels_threads_and_extras():
    done = run()
    for word in ("Python", "numpy", "ml_dtypes", "C++ compiler", "C++ kernels", "CuPy", "extra [train]", "MNIST"):
        assert word in done.stdout, done.stdout + done.stderr
    assert minigrad.__version__ in done.stdout
    assert done.returncode == (0 if cpu.kernels() else 1)


def test_names_the_mend_for_kernels_switched_off():
    done = run(MINIGRAD_BACKEND="numpy")
    assert done.returncode == 1
    assert "unset MINIGRAD_BACKEND" in done.stdout


def test_a_missing_extra_comes_with_its_command(monkeypatch):
    monkeypatch.setattr(doctor, "EXTRAS", {"train": ("no_such_module",)})
    assert list(doctor.check_extras()) == [
        ("extra [train]", "missing: no_such_module", "pip install 'minigrad-kernels[train]'"),
    ]


def test_a_missing_compiler_comes_with_its_command(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    what, found, remedy = next(doctor.check_extension())
    assert (what, found) == ("C++ compiler", "missing") and "apt-get install g++" in remedy


def test_extras_do_not_count_as_needs(monkeypatch):
    monkeypatch.setattr(doctor, "EXTRAS", {"train": ("no_such_module",)})
    out = io.StringIO()
    assert doctor.report(out) == (0 if cpu.kernels() else 1)
    assert "->" in out.getvalue()
