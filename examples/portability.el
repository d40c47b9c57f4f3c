# portability.el: does a concept mean the same in another model?
# Over all ordered pairs of three trained seeds. What is carried, with the controls, is in portability.ipynb.

import statistics

let seeds = ["seeds/small_0.safetensors", "seeds/small_1.safetensors", "seeds/small_2.safetensors"]

# In the same model: exported and imported again it is the same state.
load "seeds/small_0.safetensors"
capture L2 polite "Thank you so much, I would be happy to help."
export-concept polite "polite.safetensors"
import-concept "polite.safetensors" name=again
require (similarity polite again).cosine > 0.99999

# In another dimension: a state of 96 numbers is none of 192.
load tiny
attempt "import as it is":
    import-concept "polite.safetensors" name=brought layer=L3
else:
    print "refused: {error}"

# Aligned by a rotation on shared texts, and judged on texts that it was not fitted to.
let fits = []
let chance = []
let counterparts = []
let ceiling = []
for here in seeds:
    for there in seeds:
        let _model = load here
        if here == there:
            let _survey = survey L2 seed=1
            let again = compare there L2
            ceiling = ceiling + [again.matched / again.basins_here]
        else:
            let _survey = survey L2
            let bridge = compare there L2
            require bridge.fit != none and bridge.fit_shuffled != none, "states of another dimension"
            fits = fits + [bridge.fit]
            chance = chance + [bridge.fit_shuffled]
            counterparts = counterparts + [bridge.matched / bridge.basins_here]

let fit = (report-over-seeds "fit of the rotation, share of variance" fits)
let shuffled = (report-over-seeds "fit of a rotation to shuffled texts" chance)
require fit > shuffled
let found = (report-over-seeds "share of basins with a counterpart in another seed" counterparts)
let again = (report-over-seeds "the same for two surveys of one model" ceiling)
require again > found
