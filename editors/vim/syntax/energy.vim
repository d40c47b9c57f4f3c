" Written by `python3 dev.py docs` from the table of operations; do not edit.
if exists("b:current_syntax")
  finish
endif

syntax match energyNumber /\v[0-9A-Za-z_-]@<!\d+(\.\d+)?([eE][+-]?\d+)?\%?/
syntax match energyKey /\v[A-Za-z_][0-9A-Za-z_-]*\=\=@!/
syntax match energyKeyword /\v[0-9A-Za-z_-]@<!%(attempt|require|assert|import|return|print|quiet|sweep|elif|else|pass|with|and|def|for|let|not|if|in|or)[0-9A-Za-z_-]@!/
syntax match energyBoolean /\v[0-9A-Za-z_-]@<!%(false|true)[0-9A-Za-z_-]@!/
syntax match energyOperation /\v[0-9A-Za-z_-]@<!%(causal\s+counterfactual|watermark\s+strip-test|causal\s+intervene|trace-generation|watermark\s+inject|watermark\s+verify|causal\s+compare|export-concept|import-concept|inject-concept|remove-concept|causal\s+across|capture-file|causal\s+scan|consolidate|interpolate|restore-all|checkpoint|neighbours|similarity|strengthen|survey-all|transplant|benchmark|intervene|landscape|classify|concepts|contexts|generate|redirect|rollback|subtract|analogy|capture|compare|compose|heldout|history|prompts|protect|restore|rewrite|ablate|effect|energy|guards|inject|record|remove|replay|status|survey|verify|weaken|again|apply|blend|dream|guard|patch|probe|scale|steer|trace|usage|write|diff|goto|info|load|move|plot|push|read|redo|save|undo|add|fit|set)[0-9A-Za-z_-]@!/
syntax match energyConcept /\v\@[A-Za-z_][0-9A-Za-z_-]*/
syntax match energyLayer /\v[0-9A-Za-z_-]@<!L\d+(\.[BNH]\d+)?[0-9A-Za-z_-]@!/
syntax region energyText start=/"/ skip=/\\./ end=/"/ oneline
syntax region energyText start=/"""/ skip=/\\./ end=/"""/
syntax match energyComment /#.*$/

highlight default link energyNumber Number
highlight default link energyKey Identifier
highlight default link energyKeyword Keyword
highlight default link energyBoolean Boolean
highlight default link energyOperation Function
highlight default link energyConcept Special
highlight default link energyLayer Constant
highlight default link energyText String
highlight default link energyComment Comment

let b:current_syntax = "energy"
