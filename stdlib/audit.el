# audit.el: is the landscape what it should be?
#
# Procedures that look at a model and stop the script when something is wrong. They edit nothing.
#
#     import audit
#     load "tiny"
#     audit-layers least=20
#     audit-undone

# Every layer has at least this many basins, all of them true fixed points up to `tolerance`.
def audit-layers(least: Int = 2, tolerance: Float = 5%):
    for l in layers:
        let s = survey l
        require s.num_basins >= least, "{l} has only {s.num_basins} basins"
        let loose = 0
        for b in s.basins:
            if not b.is_fixed_point:
                loose = loose + 1
        print "{l}: {s.num_basins} basins, usage {s.usage_entropy_nats:.2f} nats, {loose} not at rest"
        require loose <= tolerance * s.num_basins, "{l} has {loose} basins that are no fixed points"

# There is a basin where the edit wanted one, and noise of a tenth of its norm does not throw it out.
def audit-basin(l: Layer, target: Direction, returns: Float = 90%):
    let v = verify l target
    require v.is_basin, "no basin at {target} in {l}"
    require v.return_10 >= returns, "only {v.return_10:.0%} of the noisy starts return to it"
    return v

# The session is back where it began, to the last bit.
def audit-undone():
    let s = status
    require s.is_original, "the weights differ from the original"
    print "weights identical to the original: {s.original_hash}"
