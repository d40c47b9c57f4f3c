# surgery_smollm2.el: write another fact into a real language model, ask it in other words and beside it, talk with it,
# and take it back bit for bit. (`save "rome"` while it is applied writes a folder that transformers loads.) Needs `pip install "energylang[hf]"` and
# `el get smollm2` (98 MB, once).

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
print "undone: the model has its first hash again"
