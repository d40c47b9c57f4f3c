"""Training models of our own: text, loop, reports."""
