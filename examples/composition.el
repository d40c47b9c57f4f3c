# composition.el: does a blend of two concepts land between them?
# Over three trained seeds. All pairs of five registers, with the controls, are in composition.ipynb.

import statistics

let polite-texts = ["Thank you so much, I would be happy to help.", "I really appreciate your question.", "It would be my pleasure to look into the keyboard."]
let rude-texts = ["What a stupid question.", "Leave me alone with that.", "Who cares, you fool."]
let before = []
let kept = 0
let seeds = ["seeds/small_0.safetensors", "seeds/small_1.safetensors", "seeds/small_2.safetensors"]

for path in seeds:
    let _model = load path
    for text in polite-texts:
        let _captured = capture L2 polite "{text}"
    for text in rude-texts:
        let _captured = capture L2 rude "{text}"
    # Between the two the blend is by arithmetic; where it comes to rest is for the landscape to say.
    let way = interpolate polite rude steps=5
    before = before + [way.points[2].to_first - way.points[2].to_second]
    require way.points[2].to_first > way.points[4].to_first, "the middle is nearer to polite than rude is"
    # Equal energies of the place of rest are the same place.
    let first = (energy L2 polite).basin_energy
    let last = (energy L2 rude).basin_energy
    let _mixed = blend polite rude middle ratio=50%
    let rest = (energy L2 middle).basin_energy
    let at-polite = -0.01 < rest - first < 0.01
    let at-rude = -0.01 < rest - last < 0.01
    if at-polite or at-rude:
        kept = kept + 1
    print "{path}: the middle rests with polite: {at-polite}, with rude: {at-rude}"

let middle = (report-over-seeds "unsettled middle, cosine to polite less cosine to rude" before)
require -0.1 < middle < 0.1, "before it settles the middle is in the middle"
print "in {kept} of {seeds.count} seeds the middle rests where an end does"
