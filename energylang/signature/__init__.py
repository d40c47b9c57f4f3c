"""What an operation is: declaration, types, values, coercion, settings. (PURE: no torch.)"""
