"""The prompt: ``el repl``. Each part of it is a small file; ``app.py`` puts them together."""
