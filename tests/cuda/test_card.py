"""Cards of kernels, and the occupancy on them."""

import pytest

import minigrad as mg
from minigrad.cuda import __main__ as command
from minigrad.cuda import budget, pages
from minigrad.cuda.occupancy import MULTIPROCESSORS, occupancy


@pytest.mark.parametrize(
    "arch, threads, registers, shared, blocks, share, limit",
    [
        ("80", 256, 32, 0, 8, 1.0, "warps"),
        ("80", 32, 32, 0, 32, 0.5, "blocks"),
        ("80", 256, 64, 8704, 4, 0.5, "registers"),
        ("80", 256, 33, 0, 6, 0.75, "registers"),  # 33 registers are given out as 40
        ("80", 128, 32, 48 << 10, 3, 0.1875, "shared memory"),  # and 1 KiB for each block
        ("75", 1024, 64, 0, 1, 1.0, "warps"),
        ("75", 256, 32, 32 << 10, 2, 0.5, "shared memory"),
        ("90", 384, 168, 0, 1, 0.1875, "registers"),
        ("120", 256, 40, 0, 6, 1.0, "warps"),
    ],
)
def test_occupancy(arch, threads, registers, shared, blocks, share, limit):
    assert occupancy(arch, threads, registers, shared) == (blocks, share, limit)


def test_every_kernel_has_a_card_and_fits():
    for kernel, (stem, by_arch) in budget.read().items():
        found = mg.cuda.card(kernel)
        assert found.file == f"{stem}.cu" and found.about and found.parameters
        assert set(found.occupancy) == set(by_arch) <= set(MULTIPROCESSORS)
        missing = set(MULTIPROCESSORS) - set(by_arch)
        assert not missing or stem == "matmul_half", f"{kernel} has no line for {missing}"  # older tensor cores lack it
        assert min(o.blocks for o in found.occupancy.values()) >= 1


def test_a_card_with_an_example():
    x = mg.randn(64, 100).to("cuda-sim")
    said = str(mg.cuda.card("softmax_forward_warp", lambda: mg.softmax(x, 1)))
    assert said.startswith("softmax_forward_warp(float* y, const float* x, ")
    for words in ("softmax and log_softmax", "grid (16, 1, 1), block (128, 1, 1)", "spills      0 bytes"):
        assert words in said
    assert "reads global x: 3.62 sectors for each of 256 accesses of a warp, 3.25 would do" in said
    assert (
        f"global      {3 * 256 * 3.625 * 32:.0f} bytes move in sectors of 32, {3 * 256 * 3.25 * 32:.0f} would do"
        in said
    )
    assert "sm_90" in said and "of its warps" in said


def test_the_card_command(capsys):
    assert command.main(["card", "adam_step"]) == 0
    assert "adam_step(const Tensors tensors, float step" in capsys.readouterr().out
    assert command.main(["card", "softmax"]) == 1
    assert "no kernel 'softmax' in" in capsys.readouterr().err


def test_the_page_of_all_cards_is_up_to_date():
    """`python -m minigrad.cuda card --all --into docs/kernels.md` makes it, and so does `budget --write`."""
    text = pages.path().read_text()
    assert text == pages.page(), "docs/kernels.md is stale"
    assert all(f"| `{kernel}` |" in text for kernel in budget.read())


def test_an_example_that_runs_something_else():
    with pytest.raises(ValueError, match="the example does not run softmax_forward_warp"):
        mg.cuda.card("softmax_forward_warp", lambda: None)
    with pytest.raises(KeyError, match="no kernel 'softmax' in"):
        mg.cuda.card("softmax")
