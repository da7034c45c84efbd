"""What each layer represents: linear probes of a classifier's representations, and how similar they are."""
