"""A run and its findings as a folder of HTML that opens from disk."""
