"""The benchmarks measure what they say: rows, ratios, floors and files; no test asks how fast anything is."""

import csv
import importlib
import math
import time

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import cpu
from minigrad.kernel import KERNELS

pytest.importorskip("benchmarks.measure", reason="the benchmarks are not beside the tests")

from benchmarks import __main__ as command
from benchmarks import (
    busy,
    ceilings,
    compare,
    measure,
    memory,
    models,
    ops,
    overhead,
    report,
    rivals,
    steps,
    table,
    workloads,
)
from benchmarks.ladder.gemm import run as gemm_ladder

native = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is not built")


@pytest.fixture(autouse=True)
def quick():
    """Two short rounds of everything; the number of threads of PyTorch is given back."""
    before, torch = measure.set_effort(measure.QUICK), installed_torch()
    threads = torch.get_num_threads() if torch else 0
    yield
    measure.set_effort(before)
    if torch:
        torch.set_num_threads(threads)


def installed_torch():
    try:
        return importlib.import_module("torch")
    except ImportError:
        return None


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed: no rival to compare with")


# How a figure is taken -----------------------------------------------------------------------------------------------


def sleeper(seconds):
    return lambda: time.sleep(seconds)


def test_a_slower_rival_has_a_ratio_above_one():
    (row,) = measure.contest("group", "row", {"": lambda: None}, {"slow": sleeper(0.002)})
    assert row.rival == "slow" and row.ratio > 1 and row.low <= row.ours <= row.high
    assert row.theirs >= 2000, "microseconds"


def test_the_opponent_is_pytorch_with_its_better_number_of_threads():
    calls = {"torch, 1 thread": sleeper(0.006), "torch, 2 threads": sleeper(0.003), "numpy": lambda: None}
    (row,) = measure.contest("group", "row", {"": lambda: None}, calls)
    assert row.rival == "torch, 2 threads" and set(row.others) == set(calls)


def test_each_of_ours_has_a_row():
    rows = measure.contest("group", "step", {"": sleeper(0.003), ", captured": lambda: None}, unit="ms")
    assert [row.row for row in rows] == ["step", "step, captured"] and rows[0].ours > rows[1].ours


def test_what_must_be_set_before_a_turn_is_set():
    state = []
    contender = measure.Contender(lambda: state.append("call"), lambda: state.append("prepare"))
    measure.burst(contender)
    assert state[0] == "prepare" and state.count("prepare") == 1 and "call" in state


def test_the_share_is_of_the_floor():
    row = measure.row_of("g", "r", "ms", [0.004, 0.004], {}, measure.Work(flops=8, bytes=4, floor=0.001))
    assert (row.ours, row.floor, row.share, row.flops) == (4, 1, 0.25, 8)


def test_files_keep_the_rows(tmp_path):
    calls = {"torch, 1 thread": sleeper(0.001), "numpy": sleeper(0.002)}
    (row,) = measure.contest("group", "row", {"": lambda: None}, calls)
    table.write([row, measure.Row("memory", "row", "MB", 7, note="a note")], tmp_path / "rows.csv")
    with open(tmp_path / "rows.csv", encoding="utf-8") as file:
        line, _ = csv.DictReader(file)
    assert all(line[fact] for fact in ("device", "date", "commit", "threads", "load", "torch, 1 thread"))
    (one, two), facts = table.read(tmp_path / "rows.csv")
    assert one.others["numpy"] == pytest.approx(row.others["numpy"], rel=1e-3)
    assert (one.row, one.rival, list(one.others)) == (row.row, row.rival, list(row.others)) and facts["device"]
    assert one.ratio == pytest.approx(row.ratio, rel=1e-3)
    assert (two.ours, two.note, two.others) == (7, "a note", {}) and math.isnan(two.ratio)


# Ceilings and floors -------------------------------------------------------------------------------------------------


@native
def test_ceilings_are_measured():
    rows = list(ceilings.rows(None))
    assert all(0 < row.low <= row.high and row.ours > 0 for row in rows)
    names = " ".join(row.row for row in rows)
    assert all(word in names for word in ("multiply-add", "read in L1", "copy in memory", "call", cpu.isa()))


@native
@pytest.mark.parametrize("module", ceilings.modules(), ids=lambda module: module.isa)
def test_rates_are_those_of_work_that_was_done(module):
    """Twenty times the work takes longer, whatever else the machine does."""

    def once(rate, *args):
        start = time.perf_counter()
        assert rate(*args) > 0
        return time.perf_counter() - start

    def seconds(rate, *args):
        return min(once(rate, *args) for _ in range(5))

    assert seconds(module.fma_rate, 400000) > 2 * seconds(module.fma_rate, 2000)
    for rate in (module.read_rate, module.copy_rate):
        assert seconds(rate, 1 << 20, 400) > 2 * seconds(rate, 1 << 20, 2)
        with pytest.raises(ValueError, match="at least 1024"):
            rate(100, 1)


def test_a_floor_is_the_time_at_the_ceilings(monkeypatch):
    best = ceilings.Ceilings(1e9, ((1000, 1e8), (math.inf, 1e6)))
    monkeypatch.setattr(ceilings, "measured", lambda threads: best)
    assert best.bandwidth(1000) == 1e8 and best.bandwidth(1001) == 1e6
    assert ceilings.kernel_work(2e6, 100).floor == pytest.approx(2e-3)
    assert ceilings.kernel_work(2e6, 1e6).floor == pytest.approx(1)
    assert ceilings.step_work(2e6, 1e6).floor == pytest.approx(1.002)


@native
def test_the_work_of_the_mlp_is_counted():
    forward = 2 * 64 * (784 * 256 + 256 * 128 + 128 * 10)
    work = workloads.TRAINING[0].work(235146)
    assert work.flops == 3 * forward - 2 * 64 * 784 * 256 and work.floor > 0
    conv = workloads.convolution(64, 1, 32, 26)
    assert conv.flops == 2 * 64 * 26 * 26 * 9 * 32 and conv.read == 64 * 26 * 26


# What is timed -------------------------------------------------------------------------------------------------------


def test_without_torch_our_own_times_are_measured():
    rows = [*overhead.rows(None), *steps.training_rows(workloads.TRAINING[0], None), *ops.rows_of("softmax", None)]
    assert len(rows) > 8 and all(row.ours == row.ours and not row.rival.startswith("torch") for row in rows)


@pytest.mark.parametrize("workload", workloads.TRAINING[:3], ids=lambda w: w.name)
def test_training_steps_are_those_of_pytorch(workload, torch):
    rows = steps.training_rows(workload, torch)
    assert rows[0].ratio > 0 and rows[0].rival.startswith("torch, ")


SMALL = {
    "blocks": (models.blocks, workloads.pictures(2, 3, 32, 32)),
    "encoder": (lambda fw: models.encoder(fw, 1, 16, 2), workloads.pictures(2, 5, 16)),
    "gpt": (lambda fw: models.gpt(fw, 2, 16, 2, 20, 8), workloads.texts(2, 8, 20)),
}


@pytest.mark.parametrize(("build", "inputs"), SMALL.values(), ids=SMALL)
def test_the_other_models_are_the_same_too(build, inputs, torch):
    workload = workloads.Workload("small", build, inputs, [workloads.Product(2, 2, 2)])
    assert steps.training_rows(workload, torch)[0].ratio > 0


def test_a_wrong_model_is_not_timed(torch):
    small = workloads.pictures(64, 784)
    other = lambda fw: models.mlp(fw) if fw is mg else fw.nn.Sequential(*models.mlp(fw), fw.nn.Tanh())  # noqa: E731
    workload = workloads.Workload("planted", other, small, workloads.MLP)
    with pytest.raises(AssertionError, match="planted"):
        steps.training_rows(workload, torch)


def test_the_mlp_by_hand_has_the_same_losses():
    workload, arrays = workloads.TRAINING[0], workloads.TRAINING[0].inputs(np.random.default_rng(0))
    model, _ = workloads.twins(workload, None)
    by_hand = rivals.by_hand(model, arrays)
    assert "numpy" in by_hand
    step = workload.step(mg, model, arrays)
    losses = [step().item() for _ in range(4)]
    for call in by_hand.values():
        np.testing.assert_allclose([call().item() for _ in range(4)], losses, rtol=1e-4)


def test_a_token_after_a_cache_is_the_last_of_all():
    model = models.gpt(mg, 2, 16, 2, 20, 12)
    tokens = mg.tensor(np.random.default_rng(0).integers(0, 20, (1, 9)))
    cache = models.new_cache(mg, layers=2, heads=2, context=12, width=8)
    with mg.no_grad():
        expected = model(tokens).numpy()
        first = model(tokens[:, :6], cache).numpy()
        rest = [model(tokens[:, i : i + 1], cache, i).numpy() for i in range(6, 9)]
    np.testing.assert_allclose(first[0, 0], expected[0, 5], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.stack(rest)[:, 0, 0], expected[0, 6:], rtol=1e-5, atol=1e-6)


@native
def test_a_captured_step_has_a_row_of_its_own(capsys):
    rows = steps.training_rows(workloads.TRAINING[0], None)
    assert [row.row for row in rows] == [workloads.TRAINING[0].name, f"{workloads.TRAINING[0].name}, captured"]
    assert steps.captured("looks", lambda *how: mg.capture(lambda: mg.tensor(mg.ones(1).sum().item()))) == {}
    assert "looks: [" in capsys.readouterr().out, "what cannot be recorded is said"


@native
def test_a_wrong_replay_is_not_timed(monkeypatch):
    monkeypatch.setattr(mg, "capture", lambda step: lambda x, target: step(x, target) + 1)
    with pytest.raises(AssertionError, match="captured"):
        steps.training_rows(workloads.TRAINING[0], None)


def test_inference_rows(torch):
    (row, *_) = steps.inference_rows(workloads.INFERENCE[0], torch)
    assert row.unit == "us" and row.ratio > 0
    small = lambda fw: models.sentences(fw, 1, 16, 2, 20, 8)  # noqa: E731
    sentences = workloads.Inference("small", small, workloads.tokens(2, 5, 20), workloads.forward, workloads.MLP)
    assert steps.inference_rows(sentences, torch)[0].ratio > 0


# Ops -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stem", ops.stems())
def test_ops_are_compared_and_timed(stem, torch):
    rows = list(ops.rows_of(stem, torch))
    assert rows, "no row that is small enough for a quick run"
    assert all(row.ratio > 0 for row in rows)


def test_a_wrong_op_is_not_timed(torch):
    wrong = ops.Op("planted", lambda fw, x: fw.exp(x) if fw is mg else fw.sin(x), [(3, 4)])
    with pytest.raises(AssertionError, match="planted"):
        list(ops.op_rows(wrong, torch))


def test_every_op_with_kernels_has_a_benchmark():
    homes = {k.__module__.rpartition(".")[2] for k in KERNELS.values()} - {"loss"} | {"mse_loss"}
    assert homes - set(ops.stems()) == set(), "ops without benchmarks/ops/bench_<stem>.py"
    files = {f.stem for f in ops.Path(mg.ops.__file__).parent.glob("*.py")}
    assert set(ops.stems()) <= files, "benchmarks of ops that are not there"


def test_bytes_are_counted():
    op = ops.Op("relu", lambda fw, x: fw.relu(x), [(50, 20)])
    forward, both = ops.op_rows(op, None)
    assert (forward.bytes, both.bytes) == (4 * 2000, 4 * 5000)


# Groups and the command ----------------------------------------------------------------------------------------------


def test_the_busy_process_is_there_and_gone():
    with busy.busy_process() as process:
        assert process.poll() is None
    assert process.poll() is not None


@pytest.mark.skipif(not ops.Path("/proc/self/clear_refs").exists(), reason="the peak is read from Linux's /proc")
def test_memory_is_that_of_a_process_of_its_own():
    rows = list(memory.workload_rows(0, "MLP", None))
    assert [row.row for row in rows] == ["MLP: growth", "MLP: whole process"]
    assert 1 < rows[0].ours < rows[1].ours, "parameters, gradients and momentum are three times 0.9 MB"


def test_the_command(tmp_path, capsys, torch):
    pytest.importorskip("PIL", reason="pillow is not installed: PyTorch's program needs it")
    assert command.main(["epoch", "softmax", "--quick", "--csv", str(tmp_path / "a.csv")]) == 0
    rows, _ = table.read(tmp_path / "a.csv")
    assert "640 images, scaled" in [row.note for row in rows] and any(row.row.startswith("softmax") for row in rows)
    assert "softmax" in capsys.readouterr().out and measure.effort is measure.QUICK
    with pytest.raises(SystemExit):
        command.main(["no_such_op"])


def rows_at(factor, group="step"):
    return [measure.Row(group, "MLP", "ms", 2 * factor, 1.95 * factor, 2.05 * factor, "torch", 4, 2 / factor)]


@pytest.mark.parametrize(("factor", "status"), [(1.0, 0), (1.05, 0), (1.3, 1), (0.5, 0)])
def test_compare_finds_what_became_slower(factor, status, tmp_path, capsys):
    table.write(rows_at(1), tmp_path / "a.csv")
    table.write(rows_at(factor), tmp_path / "b.csv")
    assert command.main(["compare", str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]) == status
    assert ("x1.30  step: MLP" in capsys.readouterr().out) == (factor == 1.3)


def test_compare_knows_what_noise_is():
    noisy = [measure.Row("step", "MLP", "ms", 2, 1, 3)]
    ((_, factor, noise),) = compare.compared(noisy, [measure.Row("step", "MLP", "ms", 2.5, 2.4, 2.6)])
    assert factor == pytest.approx(1.25) and noise > 1
    rate = compare.slowdown(measure.Row("x", "y", "GB/s", 10), measure.Row("x", "y", "GB/s", 5))
    assert rate == 2


def test_a_profile_accounts_for_all_kernels(capsys):
    assert command.main(["profile", "MLP 784-256-128-10, batch 64, SGD", "--steps", "3"]) == 0
    shown = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()[2:]}
    assert "cross_entropy_forward" in shown and shown["cross_entropy_forward"][1] == "1"
    shares = [float(cells[-1 if name == "Python" else -2].rstrip("%")) for name, cells in shown.items()]
    assert sum(shares) == pytest.approx(100, abs=1)
    bodies = [body for kernel in KERNELS.values() for body in kernel.bodies.values()]
    assert not any("timed" in repr(body) for body in bodies), "all are put back"


README = ops.Path(__file__).parent.parent / "README.md"


@pytest.mark.skipif(not README.exists(), reason="README.md is not beside the tests")
def test_the_figures_of_the_readme_are_those_of_the_file_it_names():
    text = README.read_text(encoding="utf-8")
    shown = text.split("<!-- results of ")[1].split("<!-- end of results -->")[0]
    name, _, shown = shown.partition(" -->")
    assert shown.strip() == report.report(README.parent / name).strip()


def test_plot(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: nothing is drawn")
    work = measure.Work(1e6, 1e5, 1e-4)
    rows = [measure.row_of(g, "r", "ms", [0.001], {"torch, 1 thread": [0.002]}, work) for g in ("step", "ops")]
    rows += [measure.Row("ceilings", f"{name}, 2 threads, avx2", "G", 50) for name in ("multiply-add", "copy in L2")]
    table.write(rows, tmp_path / "a.csv")
    assert command.main(["--from", str(tmp_path / "a.csv"), "--plot", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"


# The ladders ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(gemm_ladder.compiler() is None, reason="no C++ compiler")
def test_the_steps_of_the_gemm_ladder_are_right_and_timed(capsys):
    assert gemm_ladder.main(["--quick"]) == 0
    shown = capsys.readouterr().out
    assert all(f"| {step} |" in shown for step in [*gemm_ladder.STEPS, "minigrad"])


def test_a_wrong_step_is_found():
    a, b = gemm_ladder.operands(3, 4, 5)
    with pytest.raises(AssertionError, match="the product is wrong"):
        gemm_ladder.check(lambda: a @ b + 1, a, b)
