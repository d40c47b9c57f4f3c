# causal_stability.el: is the causal graph over basins stable across seeds?
# The whole question, with its controls, is in causal_stability.ipynb.

load planted:48x4

set seed 0
survey L0 inits=300
let first = causal scan L0 threshold=0.05

set seed 1  # other starts, other random edits
survey L0 inits=300
let second = causal scan L0 threshold=0.05

# Basins keep their numbers from survey to survey, so edges can be compared by them.
let both = 0
for a in first.edges:
    for b in second.edges:
        if a.source == b.source and a.target == b.target:
            both = both + 1
let either = first.num_edges + second.num_edges - both
let chance = first.density * second.density / (first.density + second.density - first.density * second.density)
print "{both} of {either} edges are in both graphs: overlap {both / either:.2f}; of edges dealt out at random {chance:.2f}"
require both / either > chance
