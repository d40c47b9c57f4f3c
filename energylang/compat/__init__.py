"""The published package's surgeon over a session."""
