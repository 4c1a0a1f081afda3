"""What the documentation shows: every `>>>` example of the package, and the Python of README.md."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import minigrad as mg

ROOT = Path(__file__).parent.parent


def modules():
    """Every module of the package but the extension's, by name."""
    found = [m.name for m in pkgutil.walk_packages(mg.__path__, "minigrad.") if not m.name.startswith("minigrad._C")]
    return ["minigrad", *found]


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in modules():
        for test in finder.find(importlib.import_module(name), name):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.mark.parametrize("example", list(examples()))
def test_example(example):
    report, runner = [], doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_there_are_examples():
    assert len(list(examples())) > 100


def blocks(path):
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/simulator.md"])
def test_pages(page, tmp_path, monkeypatch):
    """Their blocks run one after the other in one namespace, away from the repository."""
    monkeypatch.chdir(tmp_path)
    namespace, code = {}, blocks(ROOT / page)
    assert code
    for block in code:
        if block.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(block, namespace, page, None, 0)
            assert doctest.DocTestRunner().run(test).failed == 0
        else:
            exec(compile(block, page, "exec"), namespace)
