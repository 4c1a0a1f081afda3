"""`python -m minigrad.cuda build`: compile all kernels ahead for the architectures of GPUs; `--simulator`: for it.
`python -m minigrad.cuda budget --check`: hold registers, shared memory and spills against csrc/cuda/budget.csv.
`python -m minigrad.cuda card softmax_forward_warp`: what a kernel computes, and what it takes of a GPU.
"""

import argparse
import sys
import time
from pathlib import Path

from minigrad.cuda import budget, card, cubin, pages
from minigrad.cuda import build as simulator_build


def run_build(args):
    begin = time.perf_counter()
    if args.simulator:
        made = simulator_build.prebuild(args.into, args.files, args.jobs)
        size = sum(path.stat().st_size for path in made) / 1e6
        print(f"{len(made)} libraries, {size:.1f} MB, in {time.perf_counter() - begin:.1f} s, in {made[0].parent}")
        return
    made = cubin.build_all(args.files, args.arch, args.tool, args.jobs)
    for stem in dict.fromkeys(stem for stem, *_ in made):
        seconds = [each.seconds for (name, *_), each in made.items() if name == stem]
        took = f"{sum(seconds):.2f} s" if sum(seconds) else "lay there already"
        print(f"{stem}.cu: {took}")
    tool = cubin.chosen(args.tool)
    where = f"for sm_{', sm_'.join(args.arch)} by {tool} {cubin.version(tool)}"
    print(f"{len(made)} cubins {where} in {time.perf_counter() - begin:.1f} s, in {cubin.folder()}")


def run_budget(args):
    tool = cubin.chosen(args.tool)
    if args.write and tool != "nvrtc":
        raise RuntimeError(f"[cuda] budgets are NVRTC's numbers, found {tool}: pip install nvidia-cuda-nvrtc")
    found = budget.measured(args.files, args.arch, tool, args.jobs)
    if args.write:
        budget.write(found, args.files)
        print(f"{len(found)} kernels written to {budget.path()}")
        if pages.path().parent.is_dir():
            pages.path().write_text(pages.page())
            print(f"all cards written to {pages.path()}")
    limits, held = budget.limits(tool)
    wrong = list(budget.complaints(found, limits))
    print("\n".join(wrong) or f"{len(found)} kernels, compiled by {tool} {cubin.version(tool)}, {held}")
    return 1 if wrong else 0


def run_card(args):
    if not args.all:
        print(card(args.kernel))
    elif args.into:
        Path(args.into).write_text(pages.page())
    else:
        print(pages.page(), end="")


def parser():
    top = argparse.ArgumentParser(
        prog="python -m minigrad.cuda", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("files", nargs="*", metavar="FILE", help="names of files in csrc/cuda, as softmax; all")
    common.add_argument("--arch", type=lambda text: text.split(","), default=list(cubin.ARCHITECTURES))
    common.add_argument("--tool", choices=cubin.TOOLS, help="the compiler; NVRTC where it is there, else nvcc")
    common.add_argument("--jobs", type=int, help="how many compilers at a time; as many as cores")
    build = commands.add_parser("build", parents=[common], help="compile kernels to cubins")
    build.add_argument("--simulator", action="store_true", help="compile for the simulator, in all of its modes")
    build.add_argument("--into", metavar="FOLDER", help="where the simulator's libraries go; its cache")
    build.set_defaults(run=run_build)
    budgets = commands.add_parser("budget", parents=[common], help="hold kernels to their budgets")
    budgets.add_argument("--check", action="store_true", help="as it is without --write")
    budgets.add_argument("--write", action="store_true", help="make what is found the budgets")
    budgets.set_defaults(run=run_budget)
    cards = commands.add_parser("card", help="what a kernel computes, and what it takes of a GPU")
    which = cards.add_mutually_exclusive_group(required=True)
    which.add_argument("kernel", nargs="?", help="an entry point, as softmax_forward_warp")
    which.add_argument("--all", action="store_true", help="all on one page of Markdown: docs/kernels.md")
    cards.add_argument("--into", metavar="FILE", help="where the page goes")
    cards.set_defaults(run=run_card)
    return top


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except (RuntimeError, FileNotFoundError, KeyError) as error:
        print(error.args[0] if isinstance(error, KeyError) else error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
