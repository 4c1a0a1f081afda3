"""What every test runs under: the same examples in each run, one seed, and the settings of the package put back."""

import os

import pytest
from hypothesis import HealthCheck, settings

import minigrad as mg
from minigrad import dtypes
from minigrad.backend import cpu
from tests import device

# "default" draws few examples, always the same; HYPOTHESIS_PROFILE=thorough (or --hypothesis-profile) finds new ones
_slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
settings.register_profile(
    "default", max_examples=15, derandomize=True, deadline=None, database=None, suppress_health_check=_slow
)
settings.register_profile("thorough", max_examples=500, deadline=None, suppress_health_check=_slow)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_addoption(parser):
    parser.addoption("--device", choices=device.NAMES, default="cpu", help="where kernels run: see tests/device.py")
    parser.addoption("--exact-memory", action="store_true", help="no pool: compute-sanitizer sees each array's ends")


def pytest_configure(config):
    config.addinivalue_line("markers", "cpu_only(reason): left out with --device")
    config.on_device, config.missing = device.start(config.getoption("--device"))
    if config.getoption("--exact-memory"):
        device.exact_memory()


def pytest_unconfigure(config):
    config.on_device.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    config.left_out = device.deselect(config, items)
    if config.missing:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=f"no GPU: {config.missing}"))


def pytest_terminal_summary(terminalreporter, config):
    for why, count in getattr(config, "left_out", {}).items():
        terminalreporter.write_line(f"left out with --device: {count:5} tests: {why}")


def pytest_report_header():
    try:
        import torch

        oracle = f"torch {torch.__version__} is the oracle"
    except ImportError:
        oracle = "torch is not installed: tests against it are skipped"
    return [f"minigrad: C++ kernels {cpu.isa() or f'missing ({cpu.reason()})'}; {oracle}", *device.header()]


@pytest.fixture(autouse=True)
def settled():
    """Each test starts from one seed and leaves backend, default dtype and recording as they were."""
    mg.manual_seed(0)
    backend, dtype = mg.backend_name(), dtypes.get_default_dtype()
    yield
    assert mg.is_grad_enabled(), "the test left recording switched off"
    dtypes.set_default_dtype(dtype)
    if mg.backend_name() != backend:
        mg.use_backend(backend)
