"""download: a file from one of several mirrors, into a cache, and only if it is the right one."""

import hashlib
import io
import os
import time
import urllib.request
from pathlib import Path

from minigrad.utils.atomic import atomic_write
from minigrad.vision.datasets.idx import CHUNK, decompressed, take

MAX_BYTES = 1 << 27  # of a download, and of what is in it
SILENCE = 20.0  # seconds without a byte
PATIENCE = 600.0  # seconds for a file


def cache_folder():
    """$MINIGRAD_CACHE, or ~/.cache/minigrad."""
    return Path(os.environ.get("MINIGRAD_CACHE") or Path.home() / ".cache" / "minigrad")


def download(urls, path, sha256):
    """Save the file at the first of `urls` whose decompressed content has the checksum `sha256` as `path`.

    Errors: RuntimeError, with what was wrong at each mirror.
    """
    failures = []
    for url in urls:
        try:
            content = _fetch(url)
            _check(content, sha256)
        except (OSError, ValueError) as error:
            failures.append(f"    {url}: {error}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(content)
        return
    raise RuntimeError(f"[download] found no mirror that has {path.name}, tried:\n" + "\n".join(failures))


def _fetch(url):
    end, content = time.monotonic() + PATIENCE, bytearray()
    with urllib.request.urlopen(url, timeout=SILENCE) as response:
        while piece := response.read(CHUNK):
            content += piece
            if len(content) > MAX_BYTES or time.monotonic() > end:
                raise ValueError(
                    f"found no end after {len(content)} bytes, expected {MAX_BYTES} in {PATIENCE} s at most"
                )
    return content


def _check(content, sha256):
    """Mirrors compress differently, so it is the decompressed content that counts."""
    plain = take(decompressed(io.BytesIO(content)), MAX_BYTES)
    found = hashlib.sha256(plain).hexdigest()
    if found != sha256:
        raise ValueError(f"found the sha256 {found} (decompressed), expected {sha256}")
