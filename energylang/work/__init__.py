"""What the operations do: a function each, one file per family."""
