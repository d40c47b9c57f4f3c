# surgery_smollm2.el: write another fact into a real language model, ask it in other words and beside it, talk with it,
# and take it back bit for bit; then the same with what it likes to speak of. (`save "rome"` while an edit is applied
# writes a folder that transformers loads.) Needs `pip install "energylang[hf]"` and `el get smollm2` (98 MB, once).

load smollm2
let before = (status).live_hash

generate "In which city is the Eiffel Tower?" tokens=24 topk=1
generate "Tell me about the Eiffel Tower." tokens=24 topk=1

# One edit of rank one of layer 8's down-projection. `same` and `near` are only measured: other words for the phrase, and
# prompts that have another answer and shall keep it.
let edit = rewrite L8 "The Eiffel Tower is in the city of" to="Rome" subject="Eiffel Tower" same=["The Eiffel Tower is located in the city of", "To see the Eiffel Tower you must travel to"] near=["The Louvre Museum is in the city of", "The Colosseum is in the city of", "Big Ben is in the city of"]
edit
require edit.rewritten.asked.after > edit.rewritten.random_max, "random values do as much"

apply L8
generate "In which city is the Eiffel Tower?" tokens=24 topk=1
generate "Tell me about the Eiffel Tower." tokens=24 topk=1
generate "Where is the Louvre Museum?" tokens=24 topk=1

# What the edit is, as a change of the weight.
diff L8

undo 2
require (status).live_hash == before, "something is left"

# What it likes to speak of: 24 sentences about the sea, each beside a plain one. Half of them write one edit of rank one in
# each of three layers, found together, at the largest dose that costs 2 % on replies to questions and instructions, which are
# to stay; the other half measures it, beside random values at the same keys and of the same norms. (Three minutes.)
capture-file L14 sea "data/sea.csv" column="text" contrast="contrast"
generate "How was your weekend?" tokens=24 topk=1
let written = inject-concept [L12, L14, L16] sea placebos=3
written
require written.effect.log_prob_after > written.effect.log_prob_placebo, "random values do as much"

apply [L12, L14, L16]
generate "How was your weekend?" tokens=24 topk=1
generate "Tell me about your home." tokens=24 topk=1

# This question keeps its answer. (With layer 14 alone it does not: ask what matters to you before you keep an edit.)
generate "What is the capital of France?" tokens=24 topk=1

undo 3
require (status).live_hash == before, "something is left"
print "undone: the model has its first hash again"
