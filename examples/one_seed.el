# One cell of the same question. With other values, on as many processes as there are:
#
#   el sweep examples/one_seed.el --set seed=1..5 --set strength=0.1,0.2,0.3,0.4 -o out/seeds --jobs 2
let seed = 1
let strength = 0.3

load "planted:64x4"
quiet:
    survey L0 inits=100
    let e = inject L0 seed seed strength=strength force=true reason="a sweep"
    let v = verify L0 seed seed
row holds=v.is_basin cosine=v.cosine changed=e.changed_fraction
