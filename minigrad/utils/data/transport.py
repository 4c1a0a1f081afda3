"""transport: how a batch travels from a worker to the loader.

`pack` makes a message of any picklable object. The elements of its arrays, if they are many, do not go through the
pipe: the worker writes them to a file in shared memory, and `unpack` maps it and removes its name, so the arrays lie
where they were written and the memory is freed with them. Both ends are this program: no stranger is unpickled.
"""

import contextlib
import mmap
import os
import pickle
import secrets
import tempfile

SMALL = 1 << 15  # bytes that a pipe takes at once anyway
ALIGNMENT = 64


def make_folder():
    """A folder of our own, in shared memory where there is such a place."""
    shared = "/dev/shm"
    usable = os.access(shared, os.W_OK | os.X_OK)
    return tempfile.mkdtemp(prefix=f"minigrad-{os.getpid()}-", dir=shared if usable else None)


def pack(obj, folder):
    """A message for `unpack`, small enough for a pipe unless there is no room in `folder`."""
    buffers = []
    body = pickle.dumps(obj, protocol=5, buffer_callback=buffers.append)
    parts = [buffer.raw() for buffer in buffers]
    if sum(part.nbytes for part in parts) > SMALL:
        with contextlib.suppress(OSError):  # no space left: the pipe is slower, but works
            return pickle.dumps((body, *write_parts(parts, folder)))
    return pickle.dumps((pickle.dumps(obj, protocol=5), None, None))


def write_parts(parts, folder):
    """The path of a new file with the parts in it, and where each lies."""
    path, spans = os.path.join(folder, secrets.token_hex(8)), []
    try:
        with open(path, "xb") as file:
            for part in parts:
                file.seek(-(-file.tell() // ALIGNMENT) * ALIGNMENT)
                begin = file.tell()
                spans.append((begin, begin + file.write(part)))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    return path, spans


def unpack(message):
    """The object, with writable arrays."""
    body, path, spans = pickle.loads(message)
    if path is None:
        return pickle.loads(body)
    with open(path, "r+b") as file:
        window = memoryview(mmap.mmap(file.fileno(), 0))
    remove(path)
    return pickle.loads(body, buffers=[window[begin:end] for begin, end in spans])


def discard(message):
    """Drop a message that nobody wants any more."""
    path = message and pickle.loads(message)[1]
    if path:
        remove(path)


def remove(path):
    with contextlib.suppress(OSError):  # Windows keeps a mapped file until its folder is removed
        os.unlink(path)
