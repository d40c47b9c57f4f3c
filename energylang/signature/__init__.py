"""What an operation is: its declaration, the types of the language, its values, coercion, settings. (PURE: no torch.)"""
