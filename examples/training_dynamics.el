# training_dynamics.el: do basins drift under training, or do they jump?
# The whole question, with its controls and with every basin followed on its own, is in training_dynamics.ipynb.
# (Two surveys of a landscape with very many basins meet different ones, so their counts say little about which stayed.)
# training_run/make.py makes the checkpoints.

def follow(before: Path, after: Path):
    load before
    let found = compare after L2
    print "{found.basins_here} basins, then {found.basins_there}; the weight changed by {100 * found.weight_change:.0f} %"
    return found

let first = (follow "training_run/step-500.safetensors" "training_run/step-1000.safetensors")
let _second = (follow "training_run/step-1000.safetensors" "training_run/step-1500.safetensors")
let _third = (follow "training_run/step-1500.safetensors" "training_run/step-2000.safetensors")
let _fourth = (follow "training_run/step-2000.safetensors" "training_run/step-2500.safetensors")
let fifth = (follow "training_run/step-2500.safetensors" "training_run/step-3000.safetensors")
require fifth.weight_change < first.weight_change, "a training slows down"
