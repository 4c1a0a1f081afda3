"""transport: how a batch travels from a worker to the loader.

`pack` makes a message of any picklable object. The elements of its arrays, if they are many, do not go through the
pipe, which would hold the worker up until somebody listens: they wait in a file in shared memory, from which `unpack`
takes them. Both ends are this program: no stranger is unpickled.
"""

import contextlib
import os
import pickle
import tempfile

from minigrad.backend.array import empty
from minigrad.dtypes import uint8

SMALL = 1 << 15  # bytes that a pipe takes at once anyway


def make_folder():
    """A folder of our own, in shared memory where there is such a place."""
    shared = "/dev/shm"
    usable = os.access(shared, os.W_OK | os.X_OK)
    return tempfile.mkdtemp(prefix=f"minigrad-{os.getpid()}-", dir=shared if usable else None)


def pack(obj, folder):
    """A message for `unpack`, small enough for a pipe unless there is no room in `folder`."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(obj, protocol=5, buffer_callback=buffers.append)
    parts = [buffer.raw() for buffer in buffers]
    if sum(part.nbytes for part in parts) > SMALL:
        with contextlib.suppress(OSError):  # no space left: the pipe is slower, but works
            return pickle.dumps((body, *write_parts(parts, folder)))
    return pickle.dumps((pickle.dumps(obj, protocol=5), None, None))


def write_parts(parts, folder):
    """The path of a new file with the parts in it, and how long each is."""
    path = os.path.join(folder, os.urandom(8).hex())
    try:
        with open(path, "xb") as file:
            return path, [file.write(part) for part in parts]
    except BaseException:
        remove(path)
        raise


def unpack(message):
    """The object, its arrays in memory of this process."""
    body, path, sizes = pickle.loads(message)
    if path is None:
        return pickle.loads(body)
    parts = [empty((size,), uint8) for size in sizes]
    with open(path, "rb") as file:
        for part in parts:
            file.readinto(part.data)
    remove(path)
    return pickle.loads(body, buffers=parts)


def discard(message):
    """Drop a message that nobody wants any more."""
    path = message and pickle.loads(message)[1]
    if path:
        remove(path)


def remove(path):
    with contextlib.suppress(OSError):
        os.unlink(path)
