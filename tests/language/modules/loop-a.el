import loop-b
