"""replay: a training or inference step recorded once and run again without Python. Start with `capture.py`."""
