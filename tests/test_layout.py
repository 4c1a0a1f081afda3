"""What a program can hold of the rules of CONTRIBUTING.md: stems, kernel names, layers, devices, sizes, docs, tests.

The numbers are printed by `pytest -s tests/test_layout.py`.
"""

import ast
import importlib
import re
import statistics
from pathlib import Path

import pytest

import minigrad as mg
from minigrad.backend import cpu
from minigrad.cuda.launches import LAUNCHES, bodies
from minigrad.cuda.source import signatures
from minigrad.kernel import KERNELS

ROOT = Path(__file__).parent.parent
PACKAGE, CSRC, CPU, TESTS = ROOT / "minigrad", ROOT / "csrc", ROOT / "csrc" / "cpu", ROOT / "tests"
native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")


def files(folder, pattern="*.py"):
    return [f for f in sorted(folder.rglob(pattern)) if "__pycache__" not in f.parts]


def module(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def tree(path):
    return ast.parse(path.read_text(), str(path))


def named(path):
    return str(path.relative_to(ROOT))


def functions(path):
    return [n for n in ast.walk(tree(path)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]


# One op, one stem ----------------------------------------------------------------------------------------------------

OPS = {f.stem for f in (PACKAGE / "ops").glob("*.py")} - {"__init__"}
# what ops share; it is tested where it is used
SHARED = {"elementwise", "loss", "operands", "operators", "view", "windows"}
# a C++ file that holds the bodies of several Python files: its skeleton (strides, folds, the stream) is written once
HOMES = {
    "linear": {"linear", "linear_fused"},
    "elementwise": {"unary", "binary", "where", "inplace", "rounding"},
    "reduce": {"reduce", "extrema", "logsumexp", "variance"},
    "random": {"random", "dropout"},
}
# kernels that have no C++ body: integers mostly, or too rare to pay
REFERENCE_ONLY = {
    "put_forward", "sign_backward", "sort_forward", "take_forward", "topk_forward",
}  # fmt: skip


def cpp_bodies():
    """Every kernel that the C++ sources define, and the stem of the file that does."""
    found = {}
    for path in sorted(CPU.glob("*.cpp")):
        found |= dict.fromkeys(re.findall(r"^void (\w+)\(", path.read_text(), re.MULTILINE), path.stem)
    rows = re.findall(r"^  [A-Z]+\((\w+), ", (CPU / "elementwise.h").read_text(), re.MULTILINE)
    return found | dict.fromkeys(rows, "elementwise")


def home(kernel):
    """The stem of the Python file with a kernel's reference, or with the row that it is made from."""
    return KERNELS[kernel].__module__.rpartition(".")[2]


@native
def test_kernels_have_the_same_names_in_both_languages():
    names = {re.sub("_b?float16$", "", name) for name in cpu.kernels()}  # some have a body for each width
    assert names - set(KERNELS) == set(), "in C++ without a reference"
    assert set(KERNELS) - set(cpu.kernels()) == REFERENCE_ONLY, "references without a C++ body, and those known"


@native
def test_kernels_lie_in_files_of_one_stem():
    where = cpp_bodies()
    assert set(cpu.kernels()) <= set(where)
    allowed = {k: HOMES.get(where[k], {where[k]}) | {"loss"} for k in cpu.kernels() if k in KERNELS}
    wrong = {k: (where[k], home(k)) for k, homes in allowed.items() if home(k) not in homes}
    assert wrong == {}, "kernel: (C++ file, Python file)"


CUDA_HOMES = HOMES | {"elementwise": HOMES["elementwise"] | {"clamp"}, "matmul_half": {"matmul"} | HOMES["linear"]}


def test_cuda_kernels_have_a_reference_and_lie_in_files_of_one_stem():
    """Every launch function starts entry points of csrc/cuda/<its stem>.cu, which are named after it."""
    bodies()
    for name, (stem, _) in LAUNCHES.items():
        assert home(re.sub("_b?float16$", "", name)) in CUDA_HOMES.get(stem, {stem}), f"{name} is launched in {stem}.py"
        entries = signatures((CSRC / "cuda" / f"{stem}.cu").read_text())
        name = name.replace("dropout_backward", "dropout_forward")  # the same map
        name = re.sub(r"linear\w*_(forward_b?float16)", r"matmul_\1", name)  # a product and what follows it
        assert any(e == name or e.startswith(f"{name}_") for e in entries), f"{stem}.cu has nothing for {name}"


REFERENCE_ONLY_ON_CUDA = set()  # kernels without a CUDA body; say why beside each


def test_every_kernel_has_a_cuda_body():
    assert set(KERNELS) - set(bodies()) == REFERENCE_ONLY_ON_CUDA


def test_every_op_file_has_its_tests():
    tested = {f.stem.removeprefix("test_") for f in (TESTS / "ops").glob("test_*.py")}
    assert OPS - SHARED - tested == set(), "op files without tests"
    assert tested - OPS == set(), "tests of op files that are not there"


@native
def test_every_kernel_is_tested():
    """By a row of the harness that sees it run, or by name in the tests of its file."""
    seen = set()
    for path in sorted((TESTS / "ops").glob("test_*.py")):
        for case in getattr(importlib.import_module(module(path)), "CASES", []):
            seen |= set(getattr(case, "kernels", ()))
        seen |= {k for k in KERNELS if re.search(rf"\b{k}\b", path.read_text())}
    assert set(KERNELS) - seen == set(), "kernels that no test names"


def test_the_binding_table_is_the_header():
    """What kernels.h declares is what bindings.cpp offers: one row each."""
    declared = re.findall(
        r"^void (\w+)\(", (CPU / "kernels.h").read_text() + (CPU / "elementwise.h").read_text(), re.MULTILINE
    )
    rows = re.findall(r"^    KERNEL\((\w+)\),", (CSRC / "bindings.cpp").read_text(), re.MULTILINE)
    assert sorted(declared) == sorted(rows)


# Layers and devices --------------------------------------------------------------------------------------------------

LAYERS = [  # each imports those before it only
    {"recording"}, {"dtypes", "special", "backend", "cuda"}, {"mutation", "grad_mode", "kernel"},
    {"tensor", "printing"}, {"walk"}, {"autograd"}, {"tracking", "random"}, {"ops"}, {"function", "testing"},
    {"nn", "optim", "utils", "vision", "serialization"}, {"replay"},
    {"minigrad", "doctor"},
]  # fmt: skip
LEVEL = {name: i for i, layer in enumerate(LAYERS) for name in layer}


def layer(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def imports(path):
    """The package's modules that a file imports at its top; an import inside a function does not count."""
    for node in tree(path).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "minigrad":
            yield from (f"minigrad.{a.name}" for a in node.names) if node.module == "minigrad" else (node.module,)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("minigrad."))


def test_every_module_has_a_layer():
    assert {layer(module(f)) for f in files(PACKAGE)} <= set(LEVEL)


def test_imports_point_one_way():
    wrong = [
        f"{named(path)} imports {name}"
        for path in files(PACKAGE)
        for name in imports(path)
        if LEVEL.get(layer(name), 0) > LEVEL[layer(module(path))]
    ]
    assert wrong == []


def test_nothing_but_the_package_needs_more_than_numpy():
    """The core stands on numpy and ml_dtypes; what else there is must be optional, imported where it is used."""
    allowed = {"minigrad", "numpy", "ml_dtypes"}
    import sys

    wrong = []
    for path in files(PACKAGE):
        for node in tree(path).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            wrong += [f"{named(path)}: {n}" for n in names if n.split(".")[0] not in allowed | sys.stdlib_module_names]
    assert wrong == []


DEVICE_WORDS = re.compile(r"""["']cuda|\bcupy\b|\.device\s*==|is_cuda""")
MAY_NAME_DEVICES = {"kernel.py", "doctor.py"}  # and all of backend/ and cuda/


def test_devices_are_decided_in_one_place():
    wrong = [
        f"{named(path)}: {line.strip()}"
        for path in files(PACKAGE)
        if path.name not in MAY_NAME_DEVICES and not {"backend", "cuda"} & set(path.parts)
        for line in path.read_text().splitlines()
        if DEVICE_WORDS.search(line)
    ]
    assert wrong == []


# Sizes ---------------------------------------------------------------------------------------------------------------


def test_no_file_is_long():
    sources = [
        *files(PACKAGE),
        *files(TESTS),
        *[f for end in ("cpp", "h", "cu", "cuh") for f in files(CSRC, f"*.{end}")],
    ]
    lines = {named(f): len(f.read_text().splitlines()) for f in sources}
    print(f"\nfiles: {len(lines)}, median {statistics.median(lines.values()):.0f} lines, longest {max(lines.values())}")
    assert {f: n for f, n in lines.items() if n > 400} == {}
    assert {f: n for f, n in lines.items() if f.startswith("minigrad/ops/") and n > 250} == {}


def test_functions_are_short():
    """Lines of code: docstrings and blank lines do not count."""
    sizes = {}
    for path in files(PACKAGE):
        lines = path.read_text().splitlines()
        for node in functions(path):
            start = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            body = lines[start.lineno - 1 : node.end_lineno]
            sizes[f"{named(path)}:{node.name}:{node.lineno}"] = 1 + sum(bool(line.strip()) for line in body)
    ordered = sorted(sizes.values())
    median, most = statistics.median(ordered), ordered[int(0.9 * len(ordered))]
    print(f"\nfunctions: {len(ordered)}, median {median:.0f} lines, 90 % within {most}, longest {ordered[-1]}")
    assert median <= 6
    assert most <= 25
    assert {f: n for f, n in sizes.items() if n > 60} == {}


# Words ---------------------------------------------------------------------------------------------------------------


def test_every_module_says_what_lives_there():
    everything = [*files(PACKAGE), *files(TESTS), *files(ROOT / "examples"), *files(ROOT / "benchmarks")]
    ours = [f for f in everything if f.read_text().strip() and "listings" not in f.parts]  # printed elsewhere first
    assert [named(f) for f in ours if not ast.get_docstring(tree(f))] == []


def is_kernel(node):
    return any(isinstance(d, ast.Call) and getattr(d.func, "id", "") == "kernel" for d in node.decorator_list)


def test_functions_are_documented():
    """What is no user's business may do without where it is short and its name says all."""
    wrong = [
        f"{named(path)}:{node.lineno} {node.name}"
        for folder in ("ops", "nn", "optim", "utils", "vision")
        for path in files(PACKAGE / folder)
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not is_kernel(node)
        if not ast.get_docstring(node) and node.end_lineno - node.lineno > 8
    ]
    assert wrong == []


SPACES = ["", ".nn", ".nn.functional", ".nn.init", ".nn.utils", ".optim", ".optim.lr_scheduler", ".utils.data"]
SPACES += [".vision.transforms", ".vision.datasets", ".cuda"]


@pytest.mark.parametrize("space", SPACES)
def test_public_names_are_documented(space):
    """All that an `import minigrad` puts within reach of a user."""
    found = vars(importlib.import_module("minigrad" + space)).items()
    public = {n: v for n, v in found if callable(v) and not n.startswith("_")}
    assert public
    assert [n for n, v in public.items() if not (v.__doc__ or "").strip()] == []


def test_tensor_methods_are_documented():
    own = [n for n in dir(mg.Tensor) if not n.startswith("_")]
    silent = [n for n in own if callable(getattr(mg.Tensor, n)) and not (getattr(mg.Tensor, n).__doc__ or "").strip()]
    assert silent == []


# Tests that test -----------------------------------------------------------------------------------------------------

CHECKERS = {"raises", "warns", "assert_allclose", "assert_array_equal"}
CHECKERS |= {"gradcheck", "gradgradcheck", "check_backwards", "check_kernel"}


def names(node):
    return {
        getattr(n, "attr", getattr(n, "id", "")) for n in ast.walk(node) if isinstance(n, (ast.Name, ast.Attribute))
    }


def checking(nodes):
    """The names of functions that hold an assertion, or use one that does."""
    found = {n.name for n in nodes if any(isinstance(m, ast.Assert) for m in ast.walk(n)) or CHECKERS & names(n)}
    more = found | {n.name for n in nodes if found & names(n)}
    while more != found:
        found, more = more, more | {n.name for n in nodes if more & names(n)}
    return found


@pytest.mark.parametrize("path", [f for f in files(TESTS) if f.name.startswith("test_")], ids=named)
def test_every_test_asserts_something(path):
    helpers = [n for f in files(TESTS) if not f.name.startswith("test_") for n in functions(f)]
    nodes = functions(path)
    tests = {n.name for n in nodes if n.name.startswith("test_")}
    assert tests, "a test file without tests"
    assert tests - checking([*helpers, *nodes]) == set(), "tests that assert nothing"
