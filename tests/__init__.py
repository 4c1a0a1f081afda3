"""tests: one file per module, `ops/` for the ops, and `test_tiny.py`, the tour to read first."""
