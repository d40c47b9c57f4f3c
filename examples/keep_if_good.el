# Twenty sentences make a concept; it is written into the model, and kept only if the loss stays.
load "tiny"
let before = benchmark
capture-file L3 polite "data/polite.txt"

attempt "polite":
    inject-concept L3 polite method=redirect dose=0.2
    apply L3
    let after = benchmark
    require after.loss < before.loss * 1.02, "the loss goes from {before.loss:.3f} to {after.loss:.3f}"
    print "kept: loss {before.loss:.3f} → {after.loss:.3f}"
    save "kinder.safetensors"
else:
    print "not kept: {error}"
