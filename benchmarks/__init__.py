"""Benchmarks: limbeck beside the naive way, measured in turns on the same machine. `make bench` runs them all."""
