# make_polite.el: find the basins of a language model, send its neutral replies into a polite one,
# compare that with controls, print replies, and take it back to the last bit.

import audit

load tiny
survey-all

# What it says to a stranger: any of its five registers, as the dice fall.
for i in 1..5:
    generate "What should I do about the tulip?" seed=i

# What politeness looks like in the last layer: the state in which the model is about to speak,
# having just heard these.
capture L3 polite "Thank you so much for asking, it is a real pleasure to help you."
capture L3 polite "I am very grateful that you came to me, please take your time."
capture L3 polite "It would be lovely to help, you are always welcome here."
capture L3 polite I appreciate your kindness, and I would gladly do it for you.

# One edit of rank one: the states of neutral prompts now flow into the polite basin. The result compares
# it with ten placebos of equal size, and says what it costs on text it never saw.
let edit = inject-concept L3 polite method=aimed damage=1.5%
edit
require edit.applied, "the edit was refused: {edit.reason}"
require edit.effect.share_z > 2, "the effect is within the placebos' spread"
verify L3 polite
diff L3

# The live model speaks only after `apply`.
apply L3
for i in 1..5:
    generate "What should I do about the tulip?" seed=i

# And back: the application and the edit.
undo 2
audit-undone
generate "What should I do about the tulip?" seed=1
