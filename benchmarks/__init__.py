"""Side-by-side measurements of iscan-dash and its peers: commands, never tests.

`python -m benchmarks` runs them all; `benchmarks/README.md` says what each one claims.
"""
