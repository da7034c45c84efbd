"""Runs verified from storage alone: what is recorded, what is there, and what the rows say of each other."""
