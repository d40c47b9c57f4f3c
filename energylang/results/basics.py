"""Results of the operations that look, edit and control: one frozen record per kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from .base import VOLATILE, Result
from .interpret import Context, TokenScore

# ----------------------------------------------------------------------------------------- observing


@dataclass(frozen=True, eq=False)
class Basin(Result):
    """One basin of a layer. In a script it can stand wherever a basin is asked for.

    ``population`` starts (random ones, and those of installed basins) settled in it, ``fraction`` of all starts.
    In a text model ``tokens`` of the held-out token states settled in it, ``token_share`` of them (``None`` without
    text); ``top_tokens`` are those that are read there most often, each with its share of the basin's, ``context``
    is the visit whose state is nearest to the centre.

    ``radius`` is the noise norm, relative to the centre's, from which half of the pushed states return (``None``: not
    measured), ``radius_low`` and ``radius_high`` the ends of its 95 % interval. Where ``radius_reached`` is false it
    lies beyond 2, the end of the range, and is given as 2; a ``radius_high`` of ``None`` lies beyond 2 likewise.
    """

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
    radius_low: float | None = None
    radius_high: float | None = None
    radius_reached: bool | None = None
    tokens: int = 0
    token_share: float | None = None
    top_tokens: tuple[TokenScore, ...] = ()
    context: Context | None = None

    def __str__(self) -> str:
        return f"L{self.layer}.B{self.id}"


@dataclass(frozen=True, eq=False)
class Seeds(Result):
    """Surveys of one landscape with several seeds, by their random starts.

    ``overlap`` is the share of one survey's basins that another meets as well, the mean over all pairs;
    ``overlap_expected`` what it is when a pair's starts are dealt to the two at random. ``recaught`` is the share of
    one survey's starts that end in another's basins, which is what the coverage of a single survey predicts. The
    rest is about all starts together: ``found`` basins in ``starts``, as in ``Survey``.
    """

    overlap: float | None
    overlap_expected: float | None
    recaught: float | None
    found: int
    starts: int
    coverage: float | None
    coverage_low: float | None
    coverage_high: float | None
    estimate: int | None
    estimate_low: int
    estimate_high: int | None
    estimator: str


@dataclass(frozen=True, eq=False)
class Survey(Result):
    """The basins of one layer, the most visited first: by tokens in a text model (then by starts), else by starts.

    ``num_starts`` states were settled: ``inits`` random ones and the ``installed_starts`` basins that edits have
    installed. ``origin_population`` of them ended in the zero state, ``unsettled`` did not settle; the others are the
    ``population`` of the basins.
    In a text model ``token_states`` held-out tokens were settled as well (``token_starts`` is the same number). They
    lie in ``token_basins`` of the basins, but for ``tokens_to_zero`` that decayed and ``tokens_unsettled``.
    ``token_coverage`` estimates how much of the text the basins found hold (1 − basins with one token / tokens).
    ``num_basins`` counts all basins found, by starts and by tokens; ``counts`` those that starts found, by seed.
    ``count_mean`` and ``count_std`` (``None`` with one seed) are over the surveys of ``seeds`` (the first of them is
    shown), and ``over_seeds`` compares them. ``at`` is the place in the history that was surveyed (``None``: where the
    session stands).

    How many are found depends on how many starts there were. The rest is an estimate from the random starts alone:
    they met ``found_random`` basins, ``singletons`` of them once and ``doubletons`` twice. ``coverage`` is the share of
    all such starts that end in a basin they met (``None``: none ended in a basin), ``estimate`` the number of basins
    that random starts reach in all; both with a 95 % interval. Where the counts give no more than a lower bound,
    ``estimate`` and ``estimate_high`` are ``None``. ``estimator`` says how. ``until`` is the coverage that was asked
    for, and ``until_reached`` whether it was reached.
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
    count_std: float | None
    at: int | None
    elapsed: float = field(metadata=VOLATILE)
    found_random: int = 0
    singletons: int = 0
    doubletons: int = 0
    coverage: float | None = None
    coverage_low: float | None = None
    coverage_high: float | None = None
    estimate: int | None = None
    estimate_low: int = 0
    estimate_high: int | None = None
    estimator: str = ""
    until: float | None = None
    until_reached: bool | None = None
    over_seeds: Seeds | None = None
    token_states: int = 0
    token_basins: int = 0
    tokens_to_zero: int = 0
    tokens_unsettled: int = 0
    token_coverage: float | None = None


@dataclass(frozen=True, eq=False)
class SurveyAll(Result):
    """A survey of every layer."""

    num_layers: int
    num_basins: int
    layers: tuple[Survey, ...]
    elapsed: float = field(metadata=VOLATILE)


@dataclass(frozen=True, eq=False)
class Verdict(Result):
    """Is there a basin in this direction? ``cosine`` is between the direction and where it settles; ``stability``
    below 1 says that it attracts; the energy is that of the weight's symmetric part where it is not ``symmetric``;
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
    symmetric: bool = True


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
class Condition(Result):
    """One thing that must hold for an edit to be applied: what was measured, and its limit (``at_least`` or at
    most)."""

    name: str
    value: float
    limit: float
    at_least: bool
    ok: bool


@dataclass(frozen=True, eq=False)
class Reach(Result):
    """The radius of a basin with its interval, as in ``Basin``."""

    radius: float | None
    radius_low: float | None
    radius_high: float | None
    radius_reached: bool | None


@dataclass(frozen=True, eq=False)
class Beside(Result):
    """A basin beside one that was installed (``cosine`` away, whatever the sign): its radius before and after.
    ``change`` is ``shrank`` where the intervals do not meet or where, of the same pushes at the radius before, fewer
    return (sign test, p < 0.01); ``grew`` likewise; else empty."""

    basin: int
    cosine: float
    before: Reach
    after: Reach
    change: str


@dataclass(frozen=True, eq=False)
class Edit(Result):
    """A proposed edit of a layer's staged weight and what became of it.

    ``applied`` says that what was asked for was measured afterwards and that nothing else was harmed beyond its limits
    (``conditions``), or that it was forced. A refused edit leaves no trace; ``reason`` says why. ``blocked`` says that
    it was a guard or a pinned basin that refused it, which force does not overrule.

    ``judged_by`` is ``gate`` (protected basins and noisy decisions) or ``damage`` (a budget on held-out text; basins
    are moved on purpose then, and how many is told without a limit).

    Of the ``known`` basins of the layer, ``protected`` had to stay and ``kept`` of them do; the rest are the edit's own
    (target, mirror), where a basin is removed, scaled or moved those that are built from it, and in a text model the
    ``minor`` ones, which hold hardly a token each. ``lost`` are all that
    are gone: ``lost_on_purpose`` (the target and its mirror, where they were to go) and ``lost_beside`` it;
    ``lost_main`` counts those that are not minor. A refused
    edit loses none; ``would_lose`` counts what it would have lost.

    ``basin`` is the id of the basin that was installed or aimed at; ``merged`` says that it was there before;
    ``cosine`` is between it and what was asked for, ``returned`` the share of its noisy copies (10 %) that come back.
    Of a basin that was scaled, ``field_before`` and ``field_after`` are x·Wf(x)/x·x where it rests, with its energies.
    Where radii were asked for, ``reach`` is that of an installed basin and ``neighbours`` has those beside it.
    ``changed_fraction`` of noisy cues are decided differently. ``arrived`` is the share of redirected states that now
    settle at the target.

    ``strength`` is the size of the change, ‖ΔW‖/‖W‖ with W the weight before it: given back as ``strength=`` to the
    same operation at the same place, it makes the same edit. How the change was made is in fields of its own, ``None``
    where an operation has no such thing: ``margin`` m of the field m·x at the state x that was installed or removed,
    ``factor`` by which a field was multiplied, ``dose`` of a redirect or an aimed change (1 is the whole change).
    ``rank`` counts the singular values above 1e-5 of the largest, as ``diff`` does.
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
    judged_by: str = "gate"
    known: int = 0
    lost_on_purpose: tuple[int, ...] = ()
    lost_beside: tuple[int, ...] = ()
    would_lose: int = 0
    minor: int = 0
    lost_main: int = 0
    conditions: tuple[Condition, ...] = ()
    merged: bool = False
    cosine: float | None = None
    returned: float | None = None
    field_before: float | None = None
    field_after: float | None = None
    energy_before: float | None = None
    energy_after: float | None = None
    reach: Reach | None = None
    neighbours: tuple[Beside, ...] = ()
    margin: float | None = None
    factor: float | None = None
    dose: float | None = None


@dataclass(frozen=True, eq=False)
class Entry(Result):
    """One changed weight."""

    row: int
    column: int
    change: float


@dataclass(frozen=True, eq=False)
class Diff(Result):
    """The staged weight of a layer against the original, or against that at the place ``since`` in the history.
    ``edits`` lie between the two.

    Basins are compared by what is there, not by which a survey happened to meet. ``basins_lost`` were known before and
    do not rest under the weight as it is now; ``basins_gained`` are known now and do not rest under the weight before;
    ``basins_met`` are known now, were not met before, and were there all the same. ``null_…`` is what the unchanged
    weight gives when it is surveyed again with another seed: how many basins that survey meets for the first time, and
    how many it would call gained or lost (``None`` where that was not measured: a large layer, or no survey).
    """

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
    basins_met: tuple[int, ...] = ()
    null_gained: int | None = None
    null_lost: int | None = None
    null_met: int | None = None


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
    """``basins`` of the layer are known, of which the last survey met ``met`` (``None``: its present weight has not
    been surveyed). ``state`` is ``original``, ``staged`` (edited, not applied), ``live`` (edited and applied) or
    ``live, staged`` (applied, then edited again). ``refused`` edits of the layer are those that the gate refused or a
    guard blocked."""

    layer: int
    state: str
    edits: int
    refused: int
    basins: int
    lost: int
    relative_norm: float
    met: int | None = None


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
    """A generated token and, at every layer, the basin in which the state that chose it settles (``None``: it decays to
    the origin or never settles), and the cosine between that state, as the model holds it, and the basin's centre."""

    token: str
    basins: tuple[int | None, ...]
    cosines: tuple[float | None, ...] = ()


@dataclass(frozen=True, eq=False)
class Generation(Result):
    """Generated text. ``text`` is the continuation alone. Of the states of all steps and layers ``to_zero`` decay to
    the origin and ``unsettled`` never settle: they have no basin."""

    prompt: str
    text: str
    tokens: int
    seed: int
    temp: float
    topk: int
    steps: tuple[TokenStep, ...]
    to_zero: int = 0
    unsettled: int = 0

    def __str__(self) -> str:
        return self.text
