"""ops: one file of rows per file of `minigrad/ops`, and `harness.py`, which says what a row is held to."""
