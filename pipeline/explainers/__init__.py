"""The explainers that ship with the package: a folder each, named as in `--explainer NAME`."""
