"""The numbered examples run in their short form, stay short, and the listings differ from PyTorch's in imports only."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"
NUMBERED = sorted(EXAMPLES.glob("[0-9]*.py"))
pytestmark = pytest.mark.skipif(not NUMBERED, reason="the examples are not beside the tests")


@pytest.mark.parametrize("path", NUMBERED, ids=lambda p: p.stem)
def test_runs_short(path, tmp_path):
    command = [sys.executable, "-W", "error", path, "--short"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    accuracy = float(re.findall(r"accuracy (\d+\.\d+) ?%", done.stdout)[-1])
    assert accuracy > 75, done.stdout


@pytest.mark.parametrize("path", NUMBERED, ids=lambda p: p.stem)
def test_is_at_most_150_lines(path):
    assert len(path.read_text().splitlines()) <= 150


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("listings/*.py")), ids=lambda p: p.stem)
def test_listings_name_minigrad_in_imports_only(path):
    code = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    naming = [line for line in code if "minigrad" in line]
    assert naming and all(re.match(r"(import|from) minigrad", line) for line in naming)


def test_convnet_of_the_document_as_printed_is_a_clear_error():
    """32*6*6 inputs do not fit: the error names both shapes."""
    import minigrad as mg

    layer = mg.nn.Linear(32 * 6 * 6, 128)
    with pytest.raises(RuntimeError, match=r"\[linear\].*\(64, 5408\).*\(128, 1152\)"):
        layer(mg.zeros(64, 32 * 13 * 13))


def test_nothing_is_left_behind():
    assert not os.path.exists(EXAMPLES / "model.pth")
