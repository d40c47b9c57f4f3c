import loop-a
