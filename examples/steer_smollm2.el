# steer_smollm2.el: push a real language model towards a concept, beside random pushes of the same size, hear it,
# look inside, and take it back. Needs `pip install "energylang[hf]"` and `el get smollm2` (98 MB, once).

load smollm2

# What formal English does to the stream behind block 14: 24 replies in it, each beside a plain one
# that says the same.
capture-file L14 formal "concepts/formal.csv" column="text" contrast="contrast"

# The dose-response: replies that are formal (by likelihood), the probability of formal texts, and what it costs on
# held-out text and on the model's own replies, beside four random pushes of the same norm.
let dose = steer L14 formal strengths=[1.0, 2.0] placebos=4
dose
require dose.steps[0].log_prob > dose.log_prob_before, "the push does not make formal texts likelier"

# Hear it, and nothing of it afterwards.
generate "Can you tell me about your weekend?" tokens=24 topk=1
with push L14 formal 2.0 at=reply:
    generate "Can you tell me about your weekend?" tokens=24 topk=1
generate "Can you tell me about your weekend?" tokens=24 topk=1

# What the direction is near to, and what the model loses without it, without a head, and without a neuron.
neighbours L14 formal top=4
ablate formal placebos=4
ablate L14.H3 placebos=4

# Which layers carry the difference between two questions to the answer?
patch L10..L26 text="What is the capital of France?" instead="What is the capital of Italy?" says="Paris" placebos=3

undo
require (status).is_original, "something is left"
print "undone: the model has its first hash again"
