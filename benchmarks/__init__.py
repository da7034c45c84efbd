"""Commands that print the figures the project states; each is run as `python -m benchmarks.NAME`."""
