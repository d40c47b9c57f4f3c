"""Long questions with a report, each a function over a session."""
