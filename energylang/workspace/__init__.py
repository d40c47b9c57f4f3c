"""What is known and staged about a model: immutable state, history tree, versions of weights, records."""
