"""How things look: diagnostics, results on a terminal, JSON. Only this package makes text for a screen."""
