"""ladder: the way from the plain program to the one that is in use, step by step, each with its number."""
