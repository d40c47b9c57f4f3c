"""The landscape engine: settle, survey and edit one Hopfield layer.

Torch only; knows nothing of the language or of the models. ``dynamics`` moves states, ``energy`` measures
height, ``survey`` finds basins, ``lineage`` keeps their identity over time, ``edits`` proposes changes of
the weight and ``gate`` judges them.
"""
