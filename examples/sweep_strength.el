# How strong must an edit be before the model has a new basin? One row for every strength, and a picture.
load "planted:64x4"
let base = survey L0
let strengths = [0.1, 0.2, 0.3, 0.4, 0.6, 0.8]
let t = table

for s in strengths:
    for n in 1..3:
        quiet:
            let e = inject L0 seed n strength=s force=true reason="a sweep"
            let v = verify L0 seed n
            undo
        row t strength=s seed=n holds=v.is_basin cosine=v.cosine changed=e.changed_fraction

t
for s in strengths:
    let cosines = [r.cosine for r in t if r.strength == s]
    print "strength {s:.2f}: cosine {mean(cosines):.2f} ± {std(cosines):.2f}"

write t "sweep.csv"
plot t x=strength y=cosine by=seed save="sweep.svg"
plot t x=strength y=cosine by=seed
print "{base.num_basins} basins before, {(survey L0).num_basins} after: every edit was undone"
