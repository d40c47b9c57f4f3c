"""Carrying out a checked program against a session; running a record again."""
