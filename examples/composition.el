# composition.el: does a blend of two concepts land between them?
# The whole question, with its controls, is in composition.ipynb.

load tiny

capture L3 polite "Thank you so much, I would be happy to help."
capture L3 polite "I really appreciate your question."
capture L3 rude "What a stupid question."
capture L3 rude "Leave me alone with that."
similarity polite rude

# The states on the way are between the two, as arithmetic has it.
let way = interpolate polite rude steps=9
for p in way.points:
    print "{100 * p.t:.0f} % rude: cosine to polite {p.to_first:.3f}, to rude {p.to_second:.3f}"
require way.points[4].to_first > way.points[8].to_first and way.points[4].to_second > way.points[0].to_second

# Where they come to rest is for the landscape to say. Equal energies of the place of rest are the same place.
let at-polite = energy L3 polite
let at-rude = energy L3 rude
print "polite rests at energy {at-polite.basin_energy:.2f}, rude at {at-rude.basin_energy:.2f}"
for share in [25%, 50%, 75%]:
    blend rude polite mixed ratio=share
    let found = energy L3 mixed
    print "{100 * share:.0f} % rude rests at energy {found.basin_energy:.2f}"
