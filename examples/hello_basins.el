# hello_basins.el: find the basins of a landscape, add one, check that it is there, take it back.
#
# The sandbox `planted:64x4` is a single layer in which four patterns were stored.

import audit

load planted:64x4
let before = survey L0
before

# A random direction is no basin …
verify L0 42

# … until one is installed there. The gate keeps the edit only if every other basin stays.
inject L0 seed 42
audit-basin L0 seed=42
verify L0 42
survey L0
diff L0

# Nothing is lost: undo gives back the same bits.
undo
audit-undone
print "{before.num_basins} basins, as before"
