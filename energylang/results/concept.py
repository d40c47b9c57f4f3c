"""Results of the family concept: concepts, and what changes do to what is said."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class Placebo(Result):
    """Control edits of one kind, each of the edit's norm: ``random`` (the same key, a random value), ``other``
    (the same method aimed at another captured concept) or ``shuffled`` (aimed at a shuffled label). On a stream the
    last two have the same key, or the same positions, and the other direction as it is found.

    Shares, log-probabilities and the rise of the loss under them; ``…_z`` is how far the edit itself lies from
    their mean, in units of their standard deviation (None where a single control has none, or all are alike).
    """

    kind: str
    count: int
    share: float | None
    share_std: float | None
    share_max: float | None
    share_z: float | None
    log_prob: float
    log_prob_std: float | None
    log_prob_z: float | None
    loss_change: float


@dataclass(frozen=True, eq=False)
class Effect(Result):
    """What an edit does to text, against its control: ``placebos`` edits of equal norm at the same key, with
    random values. ``controls`` has every kind of control, the random ones first; ``absent`` says which kinds could not
    be had, and why.

    ``share`` is the part of sampled replies to neutral prompts that count as the concept: the unedited model,
    having just heard such a reply, is in a state nearer to the concept's than to a neutral one. It is
    measured in dialogue models only (``None`` elsewhere). ``log_prob`` is the mean log-probability per token
    (nats) of the concept's own texts after neutral prompts. ``…_z`` is the distance of the edit's change from
    the placebos' in units of their standard deviation. ``loss`` is on held-out text; ``loss_change`` is
    relative, ``loss_change_error`` its standard error.

    Of a pretrained model (``None`` elsewhere): ``own_change`` is the rise of the loss on the unedited model's replies
    to the prompts by which the share is measured, in nats per token (where the concept is said, something else no
    longer is: with the share it rises); ``kept_change`` the same of its replies to questions of fact and instructions,
    which are to stay as they are; ``…_placebo`` the placebos' means. ``plain_change`` is the rise of the
    log-probability of the concept's contrasts (None without them): the concept's own rise should be larger.
    ``replies_loss`` is the loss, per token, that the unedited model has on the sampled replies, ``distinct`` the share
    of their pairs of tokens that differ: babble shows in both.
    """

    share_before: float | None
    share_after: float | None
    share_placebo: float | None
    share_placebo_std: float | None
    share_z: float | None
    log_prob_before: float
    log_prob_after: float
    log_prob_placebo: float
    log_prob_placebo_std: float | None
    log_prob_z: float | None
    placebos: int
    loss_before: float
    loss_after: float
    loss_change: float
    loss_change_error: float | None
    controls: tuple[Placebo, ...]
    prompts: int
    own_change: float | None = None
    own_change_placebo: float | None = None
    kept_change: float | None = None
    kept_change_placebo: float | None = None
    plain_change: float | None = None
    replies_loss_before: float | None = None
    replies_loss_after: float | None = None
    distinct_before: float | None = None
    distinct_after: float | None = None
    absent: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class LayerFit(Result):
    """How well a layer holds a concept.

    ``separability`` is d′, the distance between the concept's states and the neutral (or contrast) ones along
    the line through their means, in standard deviations, each state judged by means it had no part in;
    ``accuracy`` is the share of states on the right side of the middle. ``carried`` is the part of what the
    texts change in the next word that passes through the layer's state: 1 all of it, 0 none (None where it was not
    asked).
    """

    layer: int
    separability: float
    accuracy: float
    carried: float | None
    chosen: bool


@dataclass(frozen=True, eq=False)
class ConceptInfo(Result):
    """A captured concept: where, from how many texts, and how it stands to neutral text.

    ``position`` is where in a text the state is read. ``fits`` has a line per layer where the layer was chosen
    automatically. Of the ``given`` in the texts and contrasts ``read`` were read (of a text that is
    longer than the context the last that fit); ``unknown`` of the given ones are not known to the tokenizer.
    """

    name: str
    layer: int
    position: str
    samples: int
    dim: int
    norm: float
    coherence: float
    cosine_to_neutral: float
    installed: tuple[str, ...]
    texts: tuple[str, ...]
    fits: tuple[LayerFit, ...]
    given: int = 0
    read: int = 0
    unknown: int = 0


@dataclass(frozen=True, eq=False)
class Concepts(Result):
    """All captured concepts."""

    concepts: tuple[ConceptInfo, ...]


@dataclass(frozen=True, eq=False)
class SteeringStep(Result):
    """One strength of an external field: what is said, and what random fields of the same norm do."""

    strength: float
    share: float | None
    share_placebo: float | None
    share_placebo_std: float | None
    share_z: float | None
    log_prob: float
    log_prob_placebo: float
    log_prob_placebo_std: float | None
    log_prob_z: float | None
    loss_change: float
    loss_change_error: float | None
    own_change: float | None = None


@dataclass(frozen=True, eq=False)
class Steering(Result):
    """The dose-response of pushing layers towards a concept, at the positions ``at``. ``best`` is the largest strength
    within the damage budget, or nothing. ``own_change`` of a step is the rise of the loss on the model's own neutral
    replies (None where it is not measured). ``touched`` of the ``seen`` token positions were pushed, at all strengths
    alike. ``under`` is what was held already, also at strength 0. The model is not changed."""

    layer: int
    concept: str
    share_before: float | None
    log_prob_before: float
    damage: float
    best: float | None
    placebos: int
    prompts: int
    steps: tuple[SteeringStep, ...]
    layers: tuple[int, ...] = ()
    at: str = "all"
    touched: int = 0
    seen: int = 0
    under: tuple[str, ...] = ()
