# consolidate.el: make edits live step by step, and only those that hold.
#
#     import consolidate
#     load planted:64x4
#     install-all L0 [1, 2, 3]
#     make-live L0

# Install attractors in random directions one after the other; each is kept if the gate accepts it and all that were
# there before are still basins. Gives the number that was kept.
def install-all(l: Layer, seeds: List[Int]):
    let kept = []
    for number in seeds:
        attempt "seed {number}":
            let edit = inject l seed=number
            require edit.applied, "{edit.reason}"
            kept = kept + [number]
            require (all-hold l kept), "an earlier one was lost"
    print "{l}: {kept.count} of {seeds.count} installed"
    return kept.count

# Are all of these directions basins?
def all-hold(l: Layer, seeds: List[Int]):
    for number in seeds:
        if not (verify l seed=number).is_basin:
            return false
    return true

# Apply what is staged in a layer if the landscape did not lose more than a share of its basins; else take it all back.
def make-live(l: Layer, most: Float = 5%):
    let d = diff l
    let before = d.basins_kept.count + d.basins_lost.count
    attempt "make {l} live":
        require d.basins_lost.count <= most * before, "{d.basins_lost.count} of {before} basins are lost"
        apply l
    else:
        print "{l} stays as it was: {error}"
        restore l
        return false
    return true
