# locality.el: is a concept one basin or several?
# Over three trained seeds. Decisions and words of five registers, with the controls, are in locality.ipynb.

import statistics

let texts = ["Thank you so much, I would be happy to help.", "I really appreciate your question.", "It would be my pleasure to look into the keyboard."]

# How many of the most visited basins hold a share of the visits?
def holding(used: Usage, share: Float):
    let left = share
    let count = 0
    for b in used.basins:
        if left > 0:
            left = left - b.share
            count = count + 1
    return count

let half = []
let most = []
let away = []
let by-chance = []
for path in ["seeds/small_0.safetensors", "seeds/small_1.safetensors", "seeds/small_2.safetensors"]:
    let _model = load path
    for text in texts:
        let _captured = capture L2 polite "{text}"
    let _survey = survey L2
    let used = usage L2 concept=polite
    half = half + [(holding used 50%)]
    most = most + [(holding used 90%)]
    require used.distance != none and used.distance_chance != none, "a token has no distance from others"
    away = away + [used.distance]
    by-chance = by-chance + [used.distance_chance]

let few = (report-over-seeds "basins that hold 50 % of the words" half)
let many = (report-over-seeds "basins that hold 90 % of the words" most)
require few > 1 and many > few, "its words rest in several basins"
let _far = (report-over-seeds "how far they are from those of held-out text, 0 to 1" away)
let _chance = (report-over-seeds "the same for held-out passages of that length" by-chance)
