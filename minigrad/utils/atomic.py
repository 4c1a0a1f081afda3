"""atomic: files that appear whole or not at all.

The bytes go to a temporary file in the same directory, reach the disk, and take the name in one step, so that a reader
never sees half a file and a crash leaves the old one in place.
"""

import contextlib
import os

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


@contextlib.contextmanager
def atomic_write(path):
    """A binary file that takes the name `path` when the block ends well and is removed when it does not."""
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f".minigrad-{os.urandom(8).hex()}.tmp")
    descriptor = os.open(temporary, FLAGS, 0o666)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(folder)


def sync_directory(folder):
    """Make a rename in `folder` outlive a power cut (only POSIX can)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
