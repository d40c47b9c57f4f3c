# Where do three concepts live? Each is captured at every layer, and compared with the others there.
load "tiny"
let examples = read "data/concepts.csv"

quiet:
    for r in examples:
        for l in layers:
            capture l @{r.concept} "{r.text}"

let names = ["polite", "sad", "question"]
let t = table
for l in layers:
    for name in names:
        let v = verify l @{name}
        row t layer=l concept=name is_basin=v.is_basin cosine=v.cosine
t

let apart = table
for l in layers:
    for a in names:
        for b in names:
            if a < b:
                let s = similarity @{a} @{b} layer=l
                row apart layer=l pair="{a} and {b}" cosine=s.cosine centred=s.centred
plot apart x=layer y=centred by=pair save="concepts_apart.svg"

write t "concepts_by_layer.csv"
write apart "concepts_apart.tex"
