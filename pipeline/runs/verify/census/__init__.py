"""The input counted by code of its own: what is in it, how long it is, and how it is labelled."""
