"""Other ways of saying which bins of a linear magnitude made a classifier decide: what an explainer is held against."""
