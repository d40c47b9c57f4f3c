# locality.el: is a concept one basin or several?
# The whole question, with its controls, is in locality.ipynb.

load tiny

capture L3 polite-1 "Thank you so much, I would be happy to help."
capture L3 polite-2 "I really appreciate your question."
capture L3 polite-3 "It would be my pleasure to look into the keyboard."
capture L3 rude-1 "What a stupid question."
capture L3 rude-2 "Leave me alone with that."
capture L3 rude-3 "Who cares, you fool."

# Texts that settle in one basin come to rest at one energy.
for c in [@polite-1, @polite-2, @polite-3, @rude-1, @rude-2, @rude-3]:
    let place = energy L3 c
    print "{c} rests at energy {place.basin_energy:.3f}"

# How much do real words and basins have to do with each other in this layer?
survey L3
let words = usage L3
print "{words.visited} of {words.known} known basins are visited; a basin holds one word in {100 * words.selectivity:.0f} % of its visits, with words at random in {100 * words.selectivity_shuffled:.0f} %"
require words.selectivity > words.selectivity_shuffled
