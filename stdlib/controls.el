# controls.el: is it what you did, or would anything have done it?
#
# Every procedure here does the same twice, once as asked and once with something that means nothing, and undoes
# both.
#
#     import controls
#     load planted:64x4
#     survey L0
#     removal-against-random L0.B0

# How many basins are lost when this one is removed, against a random direction that is injected with the same strength? An
# edit that the gate refuses loses none and is no comparison: it says so.
def removal-against-random(b: Basin, strength: Float = 5%, seed: Int = 1):
    let before = diff b.layer
    let lost = [0, 0]
    let refused = 0
    with remove b.layer b strength=strength:
        let after = diff b.layer
        lost = [after.basins_lost.count - before.basins_lost.count, 0]
        if after.edits == before.edits:
            refused = refused + 1
    with inject b.layer seed=seed strength=strength:
        let after = diff b.layer
        lost = [lost[0], after.basins_lost.count - before.basins_lost.count]
        if after.edits == before.edits:
            refused = refused + 1
    if refused > 0:
        print "{refused} of the two edits the gate refused: what is refused loses nothing, so this compares nothing"
    print "removed: {lost[0]} basins lost; one random direction with the same strength: {lost[1]}"
    return lost

# Is a direction a basin more often than chance? Asks `count` random directions the same question.
def better-than-chance(l: Layer, target: Direction, count: Int = 20):
    let by-chance = 0
    for i in 1..count:
        if (verify l seed=i).is_basin:
            by-chance = by-chance + 1
    let found = (verify l target).is_basin
    print "{target}: {found}; of {count} random directions {by-chance} are basins"
    return found and by-chance * 20 <= count

# Do surveys with other random starts find the same number of basins, give or take `tolerance`? The same number may be
# other basins: `over_seeds.overlap` says how many they share. One survey has no spread: `seeds` is two or more.
def stable-count(l: Layer, tolerance: Float = 20%, seeds: Int = 3):
    require seeds >= 2, "the spread of one survey is none: ask for two seeds or more"
    let s = survey l seeds=seeds
    print "{l}: {s.count_mean:.1f} ± {s.count_std:.1f} basins over {seeds} surveys"
    return s.count_std <= tolerance * s.count_mean
