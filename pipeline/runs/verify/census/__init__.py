"""Count the input with independent code: what is in it, how long it is, and how it is labelled."""
