"""Results of the family meaning: what basins mean, and text that passes through them."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result
from .stream import NearConcept, NearNeuron, StreamToken


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
    the origin and ``unsettled`` never settle: they have no basin. ``held`` are the interventions that were active;
    pushes and scalings among them ``touched`` so many of the ``seen`` token positions, prompt and reply. Of the
    ``given`` of the prompt the last ``read`` fit into the context; ``unknown`` of the given ones are not
    known to the tokenizer."""

    prompt: str
    text: str
    tokens: int
    seed: int
    temp: float
    topk: int
    steps: tuple[TokenStep, ...]
    to_zero: int = 0
    unsettled: int = 0
    held: tuple[str, ...] = ()
    touched: int = 0
    seen: int = 0
    given: int = 0
    read: int = 0
    unknown: int = 0

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, eq=False)
class TokenScore(Result):
    """A token with its probability, or its share."""

    token: str
    score: float


@dataclass(frozen=True, eq=False)
class Context(Result):
    """A token that settles in a basin, with the words around it; ``activation`` is the cosine between its state, as the
    model holds it, and the basin's centre."""

    before: str
    token: str
    after: str
    activation: float

    def __str__(self) -> str:
        return f"{self.before}[{self.token}]{self.after}"


@dataclass(frozen=True, eq=False)
class Probe(Result):
    """What a basin means: the tokens that its centre makes likely through the output head, the tokens that settle
    in it most often, and real contexts."""

    layer: int
    basin: int
    visits: int
    share: float
    says: tuple[TokenScore, ...]
    holds: tuple[TokenScore, ...]
    contexts: tuple[Context, ...]


@dataclass(frozen=True, eq=False)
class BasinContexts(Result):
    """Real contexts of a basin, the most active first; a context that comes again is listed once, and counted in
    ``visits`` (of ``tokens``) every time."""

    layer: int
    basin: int
    visits: int
    tokens: int
    contexts: tuple[Context, ...]


@dataclass(frozen=True, eq=False)
class BasinUsage(Result):
    """How often real text visits a basin, and by which token most (``purity`` is that token's share). ``reference`` is
    the basin's share of the held-out text, where the usage is that of another one."""

    basin: int
    visits: int
    share: float
    token: str
    purity: float
    reference: float | None = None


@dataclass(frozen=True, eq=False)
class Usage(Result):
    """The basins that text visits (``of`` says which text). ``entropy_nats`` is that of the visits; ``elsewhere``
    counts tokens that have no basin: ``to_zero`` decay to the origin, ``unsettled`` never settle; ``selectivity`` is
    the mean over visited basins, by visits, of their purity, and ``selectivity_shuffled`` the same where tokens are
    dealt out to the basins at random.

    For another text than the held-out one ``distance`` is the total variation distance between its usage and that of
    the ``reference_tokens`` held-out tokens (0 the same, 1 no basin in common). ``distance_chance`` is that of held-out
    passages of the same lengths (mean ± std of 199 draws; short texts are far off by chance alone), ``p`` the share of
    them that are as far off, one added on both sides."""

    layer: int
    tokens: int
    visited: int
    known: int
    elsewhere: int
    entropy_nats: float
    selectivity: float
    selectivity_shuffled: float
    basins: tuple[BasinUsage, ...]
    of: str = "held-out text"
    to_zero: int = 0
    unsettled: int = 0
    reference_tokens: int | None = None
    distance: float | None = None
    distance_chance: float | None = None
    distance_chance_std: float | None = None
    p: float | None = None


@dataclass(frozen=True, eq=False)
class Neighbour(Result):
    """A basin near a direction, and a text that settles in it (empty without a text model, or where none does).
    ``population`` counts starts of the last survey (after an edit, until the next survey, those before it)."""

    id: int
    cosine_similarity: float
    population: int
    example_probe: str


@dataclass(frozen=True, eq=False)
class Neighbours(Result):
    """What is near a direction: basins of a landscape; in a stream the tokens that it makes likelier through the head
    (``says``), the MLP ``neurons`` that write along it, and the ``concepts`` captured there."""

    layer: int
    target: str
    neighbours: tuple[Neighbour, ...]
    says: tuple[TokenScore, ...] = ()
    neurons: tuple[NearNeuron, ...] = ()
    concepts: tuple[NearConcept, ...] = ()


@dataclass(frozen=True, eq=False)
class Intervened(Result):
    """An intervention in forward passes that is now active; ``active`` lists all of them."""

    layer: int
    basin: int
    kind: str
    amount: float | None
    to: int | None
    reach: int
    tokens: int
    active: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Descent(Result):
    """One state's way down: the energy before every iteration and at the end. (``None`` where the state lies outside of
    the cube in which there is an energy, as what drives a layer strongly may at first.)"""

    energies: tuple[float | None, ...]

    @property
    def rest(self) -> float:
        """The energy at the end."""
        return next((energy for energy in reversed(self.energies) if energy is not None), float("nan"))


@dataclass(frozen=True, eq=False)
class TracedToken(Result):
    """A token, the basin it settles in (``None``: it decays to the origin, or has not ``settled``), and its way there.
    ``cosine`` is that between the state as the model holds it, after its few steps, and the basin's centre."""

    token: str
    basin: int | None
    cosine: float | None
    iterations: int
    settled: bool
    path: Descent


@dataclass(frozen=True, eq=False)
class Trace(Result):
    """The convergence path of every token of a text in one layer of the live model. ``rises`` counts iterations at
    which the energy went up (0 on a layer with positive semi-definite weight). ``to_zero`` of the tokens decay to the
    origin, ``unsettled`` never settle; all others have a basin. In a model whose layers are a stream ``stream`` has a
    line a token, and there are no basins. Of the ``given`` the last ``read`` fit into the context;
    ``unknown`` of the given ones are not known to the tokenizer."""

    layer: int
    text: str
    tokens: tuple[TracedToken, ...]
    mean_iterations: float
    rises: int
    to_zero: int = 0
    unsettled: int = 0
    stream: tuple[StreamToken, ...] = ()
    given: int = 0
    read: int = 0
    unknown: int = 0


@dataclass(frozen=True, eq=False)
class Trajectory(Result):
    """A reply of the live model and the basin of one layer in which each of its tokens settled. ``given``,
    ``read`` and ``unknown`` count the tokens of the prompt, as for ``Generation``."""

    layer: int
    prompt: str
    text: str
    seed: int
    tokens: tuple[TracedToken, ...]
    basins: tuple[int, ...]
    interventions: tuple[str, ...]
    to_zero: int = 0
    unsettled: int = 0
    stream: tuple[StreamToken, ...] = ()
    given: int = 0
    read: int = 0
    unknown: int = 0


@dataclass(frozen=True, eq=False)
class Classification(Result):
    """How well the basin in which a token settles tells the token (or the next one): accuracy of a linear probe on
    basin identity on text it was not fitted to, of the same probe fitted to shuffled basins (mean ± std), and of
    always guessing the commonest token. With ``labels`` of one's own: how well the state of a text tells its label,
    by a linear probe on the state (``basins`` is 0), beside the same fitted to shuffled labels; ``error`` is the
    standard error of the accuracy."""

    layer: int
    of: str
    accuracy: float
    shuffled: float
    shuffled_std: float | None
    z: float | None
    majority: float
    basins: int
    fitted_on: int
    tested_on: int
    labels: tuple[str, ...] = ()
    error: float | None = None


@dataclass(frozen=True, eq=False)
class Ablation(Result):
    """The loss with the subspace of some basins (or concepts) projected out of a layer's states, or with neurons or
    heads silenced, beside as many random ones of the layer. ``parts`` names them, ``basins`` the basins among them.
    Losses are on held-out text, in nats per token. A spread is None of a single placebo, and so is z where
    the placebos do not spread. ``touched`` of the ``seen`` token positions were changed."""

    layer: int
    basins: tuple[int, ...]
    rank: int
    loss_before: float
    loss_after: float
    loss_change: float
    loss_change_error: float | None
    placebo: float
    placebo_std: float | None
    z: float | None
    placebos: int
    parts: tuple[str, ...] = ()
    at: str = "all"
    touched: int = 0
    seen: int = 0
