# causal.el: what depends on a basin, found by taking it away and putting it back.
#
#     import causal
#     load planted:64x4
#     survey L0
#     knock-out L0.B0

# The basins that are lost with this one (itself included). Nothing of it stays. An edit that is refused loses none and says
# so; what a random edit of the same size would do, `causal counterfactual` says.
def knock-out(b: Basin, strength: Float = 5%):
    let before = diff b.layer
    let lost = 0
    with remove b.layer b strength=strength:
        let after = diff b.layer
        lost = after.basins_lost.count - before.basins_lost.count
        if after.edits == before.edits:
            print "{b} is not removed: the gate refuses it"
        else:
            print "without {b}: {lost} basins are gone"
    return lost

# The same for the `most` most visited basins of a layer: which of them carry others?
def knock-out-all(l: Layer, most: Int = 5):
    let s = survey l
    let heaviest = 0
    let count = 0
    for b in s.basins:
        if count < most:
            count = count + 1
            let lost = (knock-out b)
            if lost > heaviest:
                heaviest = lost
    return heaviest

# Do the states of one basin arrive in another when it is redirected? Undone afterwards.
def leads-to(b: Basin, to: Direction):
    let arrived = 0.0
    with redirect b.layer b to=to:
        arrived = (verify b.layer to).return_10
    return arrived
