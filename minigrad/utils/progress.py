"""progress: a bar over a loop; tqdm's where it is installed, else a plain one of our own."""

import sys
import time


def progress(iterable, desc="", total=None, file=None):
    """Yield what `iterable` yields and show how far it is; silent where output is not a terminal.

    >>> from minigrad.utils.progress import progress
    >>> sum(progress([1, 2, 3]))
    6
    """
    file = file or sys.stderr
    if not file.isatty():
        return iter(iterable)
    try:
        from tqdm import tqdm
    except ImportError:
        return _plain(iterable, desc, total, file)
    return iter(tqdm(iterable, desc=desc, total=total, leave=False, file=file))


def _plain(iterable, desc, total, file):
    total = total if total is not None else len(iterable) if hasattr(iterable, "__len__") else None
    start = shown = time.monotonic()
    for done, item in enumerate(iterable, 1):
        yield item
        now = time.monotonic()
        if now - shown > 0.1:
            shown = now
            print("\r" + _line(desc, done, total, now - start), end="", file=file, flush=True)
    print("\r" + " " * 78 + "\r", end="", file=file, flush=True)


def _line(desc, done, total, seconds):
    rate = f"{done / max(seconds, 1e-9):.0f}/s"
    if not total:
        return f"{desc} {done} {rate}"
    filled = 30 * done // total
    return f"{desc} |{'#' * filled}{'.' * (30 - filled)}| {done}/{total} {rate}"
