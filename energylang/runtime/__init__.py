"""Running a checked script against a model: the session, its history, the interpreter."""
