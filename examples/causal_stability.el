# causal_stability.el: is the causal graph over basins stable across training seeds?
# Over three trained seeds. Graphs on matched basins, with the controls, are in causal_stability.ipynb.

import statistics

let seeds = ["seeds/small_0.safetensors", "seeds/small_1.safetensors", "seeds/small_2.safetensors"]
let edges = []
let random-edits = []

# SWITCH: with `causal compare`, the pairs of seeds:
#     let overlaps = []
#     let renamed = []
#     for here in seeds:
#         for there in seeds:
#             if here != there:
#                 let _model = load here
#                 let both = causal compare there L2 threshold=0.05
#                 overlaps = overlaps + [both.drift_correlation]
#                 renamed = renamed + [both.drift_shuffled]
#     let found = (report-over-seeds "rank correlation of drifts on matched basins" overlaps)
#     let chance = (report-over-seeds "the same with basins renamed at random" renamed)
for path in seeds:
    let _model = load path
    let _survey = survey L2 inits=50
    let graph = causal scan L2 threshold=0.05
    edges = edges + [graph.num_edges / graph.basins.count]
    random-edits = random-edits + [graph.placebo_edges / graph.basins.count]

let specific = (report-over-seeds "edges for each basin" edges)
let _chance = (report-over-seeds "pairs that random edits move, for each basin" random-edits)
require specific > 0
