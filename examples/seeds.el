# How strong must an edit be before the model has a new basin? Five seeds for every strength, in one statement.
load "planted:64x4"
survey L0 inits=100
let strengths = [0.1, 0.2, 0.3, 0.4]
let t = sweep strength in strengths, seed in 1..5:
    let e = inject L0 seed seed strength=strength force=true reason="a sweep"
    let v = verify L0 seed seed
    row holds=v.is_basin cosine=v.cosine changed=e.changed_fraction

for s in strengths:
    let cosines = [r.cosine for r in t if r.strength == s]
    print "strength {s:.1f}: cosine {mean(cosines):.2f} ± {std(cosines):.2f}"
plot t x=strength y=cosine by=seed

# Every cell began with the model as it was, and left it so.
require (status).is_original
require len(t) == 20
