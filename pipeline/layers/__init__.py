"""Which layer hears what: linear probes of a classifier's representations, and how alike they are."""
