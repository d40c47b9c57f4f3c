"""What pretrained models are before one is loaded: where they lie, what they say of themselves.  (PURE: no torch.)"""
