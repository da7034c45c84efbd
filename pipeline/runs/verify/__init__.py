"""Verify runs from storage alone: what is recorded, what is there, and whether rows agree with each other."""
