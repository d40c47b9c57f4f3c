# causal_stability.el: is the causal graph over basins stable across training seeds?
# Over the pairs of three trained seeds. Graphs on matched places, with more controls, are in causal_stability.ipynb.

import statistics

let seeds = ["seeds/small_0.safetensors", "seeds/small_1.safetensors", "seeds/small_2.safetensors"]
let across = []
let renamed = []

# Basins of two models have no names in common: they are matched by the held-out tokens that settle in them, and the graphs are
# compared on what is matched. The control deals the names out at random.
for pair in [[0, 1], [0, 2], [1, 2]]:
    let here = seeds[pair[0]]
    let there = seeds[pair[1]]
    let _model = load here
    let both = causal compare there L2 by=tokens threshold=0.05
    print "{here} and {there}: {both.pairs} matched basins"
    require both.drift_correlation != none and both.drift_shuffled != none, "too few matched basins"
    across = across + [both.drift_correlation]
    renamed = renamed + [both.drift_shuffled]

let found = (report-over-seeds "rank correlation of drifts in another seed" across)
let chance = (report-over-seeds "the same with basins renamed at random" renamed)
require found > chance
