# persona.el: give a model a manner of speaking, and measure whether it has it.
#
#     import persona
#     load "tiny"
#     teach polite L3 ["Thank you so much.", "It would be my pleasure."]
#     persona polite L3 damage=2%
#     if (persona-holds polite L3):
#         hear-both "Hello" L3

# Capture a concept from several texts; with each more, its direction is better known.
def teach(c: Concept, l: Layer, texts: List[Text]):
    for text in texts:
        capture l c "{text}"

# Install a concept in its layer, or leave everything as it was and say why. True when it was installed.
#
# It is kept only when the gate or the damage budget accept it and when its effect on what is said is not one that
# edits of the same size have by chance.
def persona(c: Concept, l: Layer, damage: Float = 2%, least: Float = 2):
    attempt "persona {c}":
        let edit = inject-concept l c damage=damage
        require edit.applied, "refused: {edit.reason}"
        require edit.effect.share_z > least, "within the spread of the placebos"
        apply l
    else:
        print "{c} was not installed: {error}"
        return false
    return true

# Does the live model hold the concept better than placebos of the same size would?
def persona-holds(c: Concept, l: Layer, least: Float = 2):
    let e = effect l c
    return e.share_z > least

# The same question with and without what is staged in the layer, drawn with the same seed.
def hear-both(question: Text, l: Layer, seed: Int = 1):
    with restore l:
        generate "{question}" seed=seed
    with apply l:
        generate "{question}" seed=seed
