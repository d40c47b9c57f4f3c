"""Results of the operations that look, edit and control: one frozen record per kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from .base import VOLATILE, Result

# ----------------------------------------------------------------------------------------- observing


@dataclass(frozen=True, eq=False)
class Basin(Result):
    """One basin of a layer. In a script it can stand wherever a basin is asked for."""

    layer: int
    id: int
    population: int
    fraction: float
    energy: float
    energy_reference: float
    residual: float
    stability: float
    is_fixed_point: bool
    mirror: int | None
    radius: float | None

    def __str__(self) -> str:
        return f"L{self.layer}.B{self.id}"


@dataclass(frozen=True, eq=False)
class Survey(Result):
    """The basins of one layer, the most visited first.

    ``num_starts`` states were settled: ``inits`` random ones, ``token_starts`` real token states, and the
    ``installed_starts`` basins that edits have installed.
    ``origin_population`` of them ended in the zero state, ``unsettled`` did not settle.
    ``count_mean`` and ``count_std`` are over the surveys of ``seeds`` (the first of them is shown). ``at`` is the
    place in the history that was surveyed (``None``: where the session stands).
    """

    layer: int
    num_basins: int
    basins: tuple[Basin, ...]
    dim: int
    beta: float
    degree: int
    inits: int
    token_starts: int
    installed_starts: int
    num_starts: int
    origin_population: int
    unsettled: int
    mean_iters: float
    usage_entropy_nats: float
    spectral_norm: float
    symmetric: bool
    definite: bool
    asymmetry: float
    seed: int
    counts: tuple[int, ...]
    count_mean: float
    count_std: float
    at: int | None
    elapsed: float = field(metadata=VOLATILE)


@dataclass(frozen=True, eq=False)
class SurveyAll(Result):
    """A survey of every layer."""

    num_layers: int
    num_basins: int
    layers: tuple[Survey, ...]
    elapsed: float = field(metadata=VOLATILE)


@dataclass(frozen=True, eq=False)
class Verdict(Result):
    """Is there a basin in this direction? ``cosine`` is between the direction and where it settles;
    ``return_10`` … are the shares of noisy starts (noise norm 10 %, 20 %, 30 % of the state's) that come back."""

    layer: int
    target: str
    is_basin: bool
    basin: int | None
    cosine: float
    residual: float
    stability: float
    return_10: float
    return_20: float
    return_30: float
    energy: float
    energy_reference: float


@dataclass(frozen=True, eq=False)
class Energy(Result):
    """Energies at a direction and at the basin it settles in; ``gap`` is the first minus the second."""

    layer: int
    target: str
    energy: float
    energy_reference: float
    basin: int | None
    basin_energy: float
    basin_energy_reference: float
    gap: float
    symmetric: bool


# ----------------------------------------------------------------------------------------- modifying


@dataclass(frozen=True, eq=False)
class Placebo(Result):
    """Control edits of one kind, each of the edit's norm: ``random`` (the same key, a random value), ``other``
    (the same method aimed at another captured concept) or ``shuffled`` (aimed at a shuffled label).

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
    random values. ``controls`` has every kind of control, the random ones first.

    ``share`` is the part of sampled replies to neutral prompts that count as the concept: the unedited model,
    having just heard such a reply, is in a state nearer to the concept's than to a neutral one. It is
    measured in dialogue models only (``None`` elsewhere). ``log_prob`` is the mean log-probability per token
    (nats) of the concept's own texts after neutral prompts. ``…_z`` is the distance of the edit's change from
    the placebos' in units of their standard deviation. ``loss`` is on held-out text; ``loss_change`` is
    relative, ``loss_change_error`` its standard error.
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


@dataclass(frozen=True, eq=False)
class Edit(Result):
    """A proposed edit of a layer's staged weight and what became of it.

    A refused edit (``applied`` is false) leaves no trace; ``reason`` says why. ``basin`` is the id of the
    basin that was installed or aimed at, ``lost`` those that the edit lost, ``kept`` of ``protected``
    basins re-settle onto themselves, ``changed_fraction`` of noisy cues are decided differently. ``arrived`` is
    the share of redirected states that now settle at the target. ``blocked`` says that it was a guard or a protected
    basin that refused it, which force does not overrule.
    """

    operation: str
    layer: int
    target: str
    applied: bool
    reason: str
    forced: bool
    basin: int | None
    strength: float | None
    norm: float
    relative_norm: float
    rank: int
    kept: int
    protected: int
    changed_fraction: float
    lost: tuple[int, ...]
    notes: tuple[str, ...]
    method: str | None
    effect: Effect | None
    arrived: float | None
    blocked: bool = False


@dataclass(frozen=True, eq=False)
class Entry(Result):
    """One changed weight."""

    row: int
    column: int
    change: float


@dataclass(frozen=True, eq=False)
class Diff(Result):
    """The staged weight of a layer against the original, or against that at the place ``since`` in the history.
    ``edits`` lie between the two."""

    layer: int
    changed: bool
    norm: float
    relative_norm: float
    rank: int
    edits: int
    spectral_before: float
    spectral_after: float
    largest: tuple[Entry, ...]
    basins_kept: tuple[int, ...]
    basins_lost: tuple[int, ...]
    basins_gained: tuple[int, ...]
    max_drift: float
    since: int | None


# ------------------------------------------------------------------------------------------- concepts


@dataclass(frozen=True, eq=False)
class LayerFit(Result):
    """How well a layer holds a concept.

    ``separability`` is d′, the distance between the concept's states and the neutral (or contrast) ones along
    the line through their means, in standard deviations, each state judged by means it had no part in;
    ``accuracy`` is the share of states on the right side of the middle. ``carried`` is the part of what the
    texts change in the next word that passes through the layer's state: 1 all of it, 0 none.
    """

    layer: int
    separability: float
    accuracy: float
    carried: float
    chosen: bool


@dataclass(frozen=True, eq=False)
class ConceptInfo(Result):
    """A captured concept: where, from how many texts, and how it stands to neutral text.

    ``position`` is where in a text the state is read. ``fits`` has a line per layer where the layer was chosen
    automatically.
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


@dataclass(frozen=True, eq=False)
class Concepts(Result):
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


@dataclass(frozen=True, eq=False)
class Steering(Result):
    """The dose-response of pushing a layer towards a concept. ``best`` is the largest strength within the damage
    budget, or nothing. The model is not changed."""

    layer: int
    concept: str
    share_before: float | None
    log_prob_before: float
    damage: float
    best: float | None
    placebos: int
    prompts: int
    steps: tuple[SteeringStep, ...]


# -------------------------------------------------------------------------------------------- control


@dataclass(frozen=True, eq=False)
class Info(Result):
    """A model: what it is and what it can do."""

    model: str
    kind: str
    num_layers: int
    dims: tuple[int, ...]
    betas: tuple[float, ...]
    degree: int
    parameters: int
    vocabulary: int
    capabilities: tuple[str, ...]
    hash: str


@dataclass(frozen=True, eq=False)
class Applied(Result):
    """Layers whose live weight was replaced, and the hash of the live model."""

    layers: tuple[int, ...]
    changed: bool
    hash: str


@dataclass(frozen=True, eq=False)
class LayerStatus(Result):
    """``state`` is ``original``, ``staged`` (edited, not applied), ``live`` (edited and applied) or
    ``live, staged`` (applied, then edited again). ``refused`` edits of the layer are those that the gate refused or a
    guard blocked."""

    layer: int
    state: str
    edits: int
    refused: int
    basins: int
    lost: int
    relative_norm: float


@dataclass(frozen=True, eq=False)
class Status(Result):
    """Where the session stands. The hashes are those of the whole model's weights."""

    model: str
    layers: tuple[LayerStatus, ...]
    concepts: int
    undoable: int
    redoable: int
    original_hash: str
    live_hash: str
    staged_hash: str
    is_original: bool


@dataclass(frozen=True, eq=False)
class Setting(Result):
    name: str
    value: int | float | str
    before: int | float | str


@dataclass(frozen=True, eq=False)
class Saved(Result):
    """``hash`` is that of the weights in the file; ``session`` says that the history is in it as well."""

    path: str
    bytes: int
    hash: str
    session: bool


@dataclass(frozen=True, eq=False)
class Undone(Result):
    """``statements`` were undone (newest first), ``again`` were done again (oldest first); ``at`` is the place in
    the history where the session stands now, ``hash`` that of the staged weights there. ``refused`` of the steps
    were edits that had been refused. ``missing`` is how many steps more were asked for than there are."""

    direction: str
    statements: tuple[str, ...]
    again: tuple[str, ...]
    at: int
    hash: str
    is_original: bool
    refused: int = 0
    missing: int = 0


@dataclass(frozen=True, eq=False)
class Checkpoint(Result):
    """A name for a place in the history; ``moved_from`` is where the name stood before (``None``: it is new)."""

    name: str
    at: int
    moved_from: int | None


@dataclass(frozen=True, eq=False)
class Attempted(Result):
    """An ``attempt`` that failed in this line and was undone; ``undone`` counts the changes that were taken
    back."""

    name: str
    code: str
    error: str
    line: int
    undone: int


@dataclass(frozen=True, eq=False)
class HistoryEntry(Result):
    """One operation. ``parent`` is the place in the tree at which it happened (0: the beginning), ``here`` says
    that the session stands at it, ``checkpoints`` are the names that it has."""

    id: int
    statement: str
    state: str
    detail: str
    parent: int
    here: bool
    checkpoints: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class History(Result):
    """Every operation that changed, or tried to change, the session. ``state`` is OK, REFUSED, BLOCKED, FORCED,
    FAILED or UNDONE (what was refused or failed stays so: it had no effect to undo); ``at`` is where the session
    stands (0: the beginning), ``beginning`` the names of checkpoints there. ``tree`` says that it is to be drawn as
    one."""

    entries: tuple[HistoryEntry, ...]
    at: int
    beginning: tuple[str, ...]
    tree: bool


# ----------------------------------------------------------------------------------------------- text


@dataclass(frozen=True, eq=False)
class TokenStep(Result):
    """A generated token and the basin it settled in at every layer (``None``: not a known basin)."""

    token: str
    basins: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Generation(Result):
    """Generated text. ``text`` is the continuation alone."""

    prompt: str
    text: str
    tokens: int
    seed: int
    temp: float
    topk: int
    steps: tuple[TokenStep, ...]

    def __str__(self) -> str:
        return self.text
