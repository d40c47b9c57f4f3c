"""One door to the disk: atomic, inside the sandbox, locked."""
