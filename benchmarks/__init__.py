"""Speed, measured beside floors and peers in one run: ``python -m benchmarks.NAME [--json]``.

Every module but those with a leading underscore is a benchmark: it prints a table, or JSON ``{"rows", "bars",
"machine", "commit"}``, and exits with 1 where a bar does not hold. `benchmarks._report` is what they share.
"""
