"""backend: where arrays live and who computes on them. Read `array.py`, then `cpu.py`."""
