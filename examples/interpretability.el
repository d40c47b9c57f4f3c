# interpretability.el: the seven steps of the interpretability notebook, with the same numbers.

load tiny

# 2  survey every layer
survey-all

# 4  capture a concept and watch it land
let before = survey L2
capture L2 polite "Thank you for reaching out"
capture L2 polite "I appreciate your question"
capture L2 polite "It would be my pleasure to help"

# With the strength of the published example too many decisions change: it is refused, and says by how much.
let strong = inject-concept L2 polite strength=0.1 method=attractor
for c in strong.conditions:
    if not c.ok:
        print "strength 0.1: {c.name}: {c.value:.3f}, limit {c.limit:.3f}"

# Without one the smallest change that passes is found: a basin of its own, beside the one in which it rested.
let edit = inject-concept L2 polite method=attractor damage=1%
for c in edit.conditions:
    print "{c.name}: {c.value:.3f}, limit {c.limit:.3f}"
let after = survey L2
print "basins before {before.num_basins}, after {after.num_basins}"

# It is a basin of its own, or the gate refused it and says why.
let own = verify L2 polite
require not edit.applied or own.basin == edit.basin, "the concept was installed and settles elsewhere"
require edit.applied or edit.reason != "", "the edit was refused without a reason"

# 5  neighbours: the basins nearest to the concept that text visits, without its own
let near = neighbours L2 polite top=1000
let count = 0
let first = before.basins[0].id
for b in near.neighbours:
    if count < 5 and b.id != own.basin and b.example_probe != "":
        if count == 0:
            first = b.id
        count = count + 1
        print "L2.B{b.id} (cos {b.cosine_similarity:.3f})"

# 6  causal intervention: take a neighbour out of every state, same prompt, two trajectories
let untouched = trace-generation L2 "Hi, can you help me?"
let changed = untouched
let control = untouched
with intervene L2 first clamp amount=0:
    changed = trace-generation L2 "Hi, can you help me?"
with intervene L2 after.basins[0].id clamp amount=0:
    control = trace-generation L2 "Hi, can you help me?"
print "tokens as it is {untouched.tokens.count}, without the neighbour {changed.tokens.count}, without the largest basin {control.tokens.count}"
require changed.tokens[0].path.energies[0] != untouched.tokens[0].path.energies[0], "nothing differs"
let again = trace-generation L2 "Hi, can you help me?"
require again.text == untouched.text, "an intervention outlived its block"

# 7  the artefact: every operation with its arguments and digests; `replay` runs it again and compares
record "interpretability.record.json"
