"""The messages that batches travel in."""

import numpy as np

import minigrad as mg
from minigrad.utils.data import transport


def test_messages_use_a_file_only_when_they_are_long(tmp_path):
    for size, files in ((10, 0), (100_000, 1)):
        batch = {"x": np.arange(float(size)), "y": [mg.arange(3), "text"], "f": np.arange(4.0 * size).reshape(4, -1).T}
        message = transport.pack(batch, tmp_path)
        assert len(list(tmp_path.iterdir())) == files
        back = transport.unpack(message)
        assert list(tmp_path.iterdir()) == []
        assert np.array_equal(back["x"], batch["x"])
        assert np.array_equal(back["f"], batch["f"])
        assert back["y"][0].tolist() == [0, 1, 2]
        assert back["x"].flags.writeable
        assert back["x"].ctypes.data % 16 == 0


def test_messages_do_without_a_file_when_there_is_no_room(tmp_path):
    batch = np.arange(100_000.0)
    message = transport.pack(batch, tmp_path / "nowhere")
    assert np.array_equal(transport.unpack(message), batch)


def test_messages_that_nobody_wants_leave_nothing(tmp_path):
    transport.discard(transport.pack(np.arange(100_000.0), tmp_path))
    transport.discard(transport.pack(1, tmp_path))
    transport.discard(None)
    assert list(tmp_path.iterdir()) == []
