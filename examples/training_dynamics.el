# training_dynamics.el: do basins drift under training, or do they jump?
# Over three trained seeds; `el train --keep-checkpoints` kept the looks on the way. Every basin followed on its own, with the
# controls, is in training_dynamics.ipynb.

import statistics

# The share of the basins of one look that a survey of another one finds again.
def found-again(before: Path, after: Path):
    let _model = load before
    let _survey = survey L1 seed=1
    let found = compare after L1
    return found.matched / found.basins_here

# How far the weight has moved, relative to its norm.
def moved(before: Path, after: Path):
    let _model = load before
    let seen = compare after L1
    require seen.weight_change != none, "another shape"
    return seen.weight_change

let steps = ["000800", "001600", "002400", "003200"]
let changes = []
for i in 0..2:
    let shares = []
    let same = []
    let change = []
    for seed in ["0", "1", "2"]:
        let before = "seeds/small_{seed}.step{steps[i]}.safetensors"
        let after = "seeds/small_{seed}.step{steps[i + 1]}.safetensors"
        shares = shares + [(found-again before after)]
        same = same + [(found-again before before)]
        change = change + [(moved before after)]
    print "step {steps[i]} to {steps[i + 1]}"
    changes = changes + [(report-over-seeds "  change of the weight" change)]
    let found = (report-over-seeds "  basins found again in the next look" shares)
    let again = (report-over-seeds "  the same for two surveys of one look" same)
    require again > found, "training moves basins more than another survey does"
require changes[2] < changes[0], "a training slows down"
