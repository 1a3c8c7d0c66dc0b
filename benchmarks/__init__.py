"""How fast the engine is on this machine, beside what the machine itself can do.

`python -m benchmarks` measures on every database that answers, prints a table, and writes JSON and
curves. It makes its own databases and drops them.
"""
