# portability.el: does a concept mean the same in another model?
# The whole question, with its controls, is in portability.ipynb.

load tiny
capture L3 polite "Thank you so much, I would be happy to help." position="mean"
capture L3 polite "I really appreciate your question." position="mean"

# In the same model: exported and imported again it is the same state.
export-concept polite "polite.safetensors"
import-concept "polite.safetensors" name=again
require (similarity polite again).cosine > 0.99999

# In another one, of another dimension: a state of 192 numbers is none of 64.
load "training_run/small.safetensors"
attempt "import as it is":
    import-concept "polite.safetensors" name=brought layer=L2
else:
    print "refused: {error}"

# Aligned by a rotation on shared texts, and judged on texts that it was not fitted to.
let bridge = compare tiny L2
print "fit {bridge.fit:.2f}, with shuffled texts {bridge.fit_shuffled:.2f}: {bridge.matched} of {bridge.basins_here} basins have a counterpart"

capture L2 polite "Thank you so much, I would be happy to help." position="mean"
capture L2 polite "I really appreciate your question." position="mean"

# As an attractor, if the gate lets it; taken back when the block ends.
with transplant tiny L2 polite:
    verify L2 polite
