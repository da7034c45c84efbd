"""The question `duplicate` of an audit: recordings that are copies of others, and copies on both sides of a split."""

from pipeline.audit.duplicates.ask import duplicates

__all__ = ["duplicates"]
