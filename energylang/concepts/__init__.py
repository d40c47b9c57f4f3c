"""Concepts: what was captured, ways to write it into a layer, and what that does to what is said, with controls."""
