"""Baselines for an explainer: other methods that say which bins of a linear magnitude made a classifier decide."""
