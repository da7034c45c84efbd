"""The question `duplicate` of an audit: recordings that are copies of others, and copies on both sides of a split."""
