"""Another model beside this one: comparing a layer, and bringing a concept over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang import results
from energylang.concepts.captured import keep
from energylang.errors import ElError
from energylang.landscape.alignment import align
from energylang.landscape.assign import place
from energylang.landscape.clusters import SAME, best_matching, gram
from energylang.landscape.draws import starts
from energylang.landscape.dynamics import settle
from energylang.landscape.edits import inject
from energylang.landscape.layer import Landscape
from energylang.landscape.lineage import HELD, survivors
from energylang.landscape.proposal import Proposal
from energylang.landscape.survey import survey
from energylang.looking.basins import known_basins
from energylang.looking.gauge import standard_error
from energylang.models import checkpoint
from energylang.models.conversations import shared_conversations
from energylang.models.model import Model
from energylang.models.states import DECISION, MEAN, text_states, turn_states, window_states
from energylang.models.text import TextModel
from energylang.signature.declaration import LACKS, Effect
from energylang.signature.values import ConceptName
from energylang.trial import asked
from energylang.trial.draft import Plan
from energylang.trial.staging import carry_out
from energylang.workspace.history import Concept
from energylang.workspace.named import concept_at
from energylang.workspace.workspace import Workspace, check_layer

from .carried import carried

_TEXTS, _PASSAGE = 400, 10  # passages; tokens of one
_SETTLED = 0.7
_READ, _SHARED = 32, 0.1  # windows by which basins are matched; the least share of tokens of a match


def compare(ws: Workspace, model: str, layer: int) -> results.Comparison:
    """A layer of the session's model beside the same layer of another one."""
    if not ws.model.landscape:
        return _compared_streams(ws, model, layer)
    other = _other(ws, model, layer)
    here = known_basins(ws, layer).main()
    landscape = ws.landscape_of(layer)
    there = _survey(ws, other, layer)
    bridge = _best_bridge(ws, other, layer)
    matches: list[results.MatchedBasin] = []
    if here and len(there):
        mine = torch.stack([basin.centre for basin in here]).to(landscape.weight)
        similar = gram(mine, bridge.move(there.to(mine)))
        matches = [
            results.MatchedBasin(here[i].id, j, float(similar[i, j]))
            for i, j in best_matching(similar, SAME if bridge.aligned == "same" else _SETTLED)
        ]
    weight = landscape.weight
    change = None
    if other.dims[layer] == landscape.dim:
        size = float(torch.linalg.matrix_norm(weight))
        gap = float(torch.linalg.matrix_norm(other.weight(layer).to(weight) - weight))
        change = gap / size if size else gap
    cosines = [match.cosine for match in matches]
    same = bridge.aligned == "same"
    return results.Comparison(
        layer=layer,
        other=model,
        dim_here=landscape.dim,
        dim_there=other.dims[layer],
        aligned=bridge.aligned,
        fit=bridge.fit,
        fit_shuffled=bridge.shuffled,
        weight_change=change,
        beta_here=landscape.beta,
        beta_there=other.beta(layer),
        basins_here=len(here),
        basins_there=len(there),
        matched=len(matches),
        mean_cosine=sum(cosines) / len(cosines) if cosines else 0.0,
        matches=tuple(matches),
        rest_there=_resting(other, layer, torch.stack([basin.centre for basin in here]))
        if same and here
        else None,
        rest_here=survivors(landscape, there).count(True) if same else None,
    )


@torch.no_grad()
def _compared_streams(ws: Workspace, spec: str, layer: int) -> results.Comparison:
    """Two checkpoints whose layers are a stream, on the same held-out text: weights, states, and what they say next."""
    check_layer(ws.model, layer)
    here = ws.text
    other = checkpoint.load(spec, base=ws.base)
    there = other.text
    if there is None or other.landscape:
        raise ElError(
            f"the layers of {ws.model.spec} are a stream, and those of {spec} are not",
            code="EL251",
            hint="name another checkpoint of the same architecture",
        )
    if layer >= other.num_layers or other.dims[layer] != ws.model.dims[layer]:
        raise ElError(
            f"{spec} has no L{layer} of dimension {ws.model.dims[layer]}",
            code="EL302",
            hint="name another checkpoint of the same architecture",
        )
    windows = here.measuring_windows(here.sizes.windows)[:, :-1]
    sample = here.decode(windows[0].tolist())
    if here.tokenizer.size != there.tokenizer.size or here.encode(sample) != there.encode(sample):
        raise ElError(
            f"{spec} has other tokens than {ws.model.spec}: what they say next cannot be compared",
            code="EL503",
            hint="a fine-tuned checkpoint has the tokens of its base",
        )
    mine, theirs, gaps, same = [], [], [], []
    for part in here.chunks(windows):
        left, right = (text.forward(part, read=(layer,)) for text in (here, there))
        logs, others = (found.logits.float().log_softmax(dim=2) for found in (left, right))
        gaps.append((logs.exp() * (logs - others)).sum(dim=2).mean(dim=1))
        same.append((logs.argmax(dim=2) == others.argmax(dim=2)).float().mean(dim=1))
        mine.append(
            left.states[layer][:, 1:].flatten(0, 1)
        )  # the first token's state is huge and says nothing
        theirs.append(right.states[layer][:, 1:].flatten(0, 1))
    states, their_states = torch.cat(mine), torch.cat(theirs)
    states, their_states = states - states.mean(dim=0), their_states - their_states.mean(dim=0)
    order = torch.randperm(len(states), generator=ws.generator("compare", layer)).to(states.device)
    cosine = torch.nn.functional.cosine_similarity(states, their_states)
    dealt = torch.nn.functional.cosine_similarity(states, their_states[order])
    weight, their_weight = ws.weight(ws.staged(layer)).double(), other.weight(layer).double()
    change = None
    if weight.shape == their_weight.shape:
        change = float(torch.linalg.matrix_norm(their_weight - weight) / torch.linalg.matrix_norm(weight))
    gap = torch.cat(gaps)
    return results.Comparison(
        layer=layer,
        other=spec,
        dim_here=ws.model.dims[layer],
        dim_there=other.dims[layer],
        aligned="same",
        fit=None,
        fit_shuffled=None,
        weight_change=change,
        beta_here=0.0,
        beta_there=0.0,
        basins_here=0,
        basins_there=0,
        matched=0,
        mean_cosine=0.0,
        matches=(),
        tokens=windows.numel(),
        state_cosine=float(cosine.mean()),
        state_cosine_shuffled=float(dealt.mean()),
        kl=max(0.0, float(gap.mean())),
        kl_error=standard_error(gap),
        same_choice=float(torch.cat(same).mean()),
    )


def _resting(other: Model, layer: int, centres: Tensor) -> int:
    """How many of the states (k, d) are basins of the other model's layer."""
    landscape = Landscape(other.weight(layer), other.beta(layer), other.degree)
    return survivors(landscape, centres).count(True)


def _other(ws: Workspace, spec: str, layer: int) -> Model:
    check_layer(ws.model, layer)
    other = checkpoint.load(spec, base=ws.base)
    if not other.landscape:
        raise ElError(
            f"the layers of {spec} are a plain stream: there is no landscape to compare with",
            code="EL250",
            hint="name a model with landscapes, such as tiny",
        )
    if layer >= other.num_layers:
        raise ElError(
            f"{spec} has no L{layer}: it has {other.num_layers} Hopfield layers",
            code="EL302",
            hint="name a layer that both models have",
        )
    return other


def _survey(ws: Workspace, other: Model, layer: int) -> Tensor:
    """Centres (k, d') of the other model's main basins, as an ordinary survey finds them."""
    landscape = Landscape(other.weight(layer), other.beta(layer), other.degree)
    inits = int(ws.setting("inits"))
    states = starts(inits, landscape.dim, ws.generator("survey", layer, 0), landscape.weight)
    eps = float(ws.setting("eps"))
    found = survey(landscape, states, eps=eps, generator=ws.generator("survey kicks", layer, 0)).centres
    if other.text is None or other.text.heldout is None:
        return found
    tokens = window_states(other.text, other.text.reading_windows())[layer].flatten(0, 1).to(landscape.weight)
    placed = place(landscape, found, tokens, ws.generator("assign", layer), eps=eps)
    visits = torch.bincount(placed.index[placed.index >= 0], minlength=len(found) + len(placed.fresh))
    return torch.cat((found, placed.fresh[visits[len(found) :] >= HELD * len(tokens)]))


@dataclass(frozen=True, eq=False)
class Bridge:
    """From the other model's states (n, d') to this one's (n, d): how, and how well it fits on probes that it was not
    fitted to, and when fitted to shuffled ones (None where nothing is fitted)."""

    move: Callable[[Tensor], Tensor]
    aligned: str
    fit: float | None = None
    shuffled: float | None = None


def _bridge(ws: Workspace, other: Model, layer: int, position: str) -> Bridge:
    """The bridge for states that are read at a position of texts."""
    if ws.model.text is None or other.text is None:
        if other.dims[layer] != ws.model.dims[layer]:
            raise ElError(
                f"L{layer} has dimension {ws.model.dims[layer]} here and {other.dims[layer]} there, and "
                "without texts there is nothing to align them by",
                code="EL511",
                hint="models of different dimensions are compared through shared texts: both must read text",
            )
        return Bridge(lambda states: states, "same")
    there, here = shared_states(other.text, ws.text, layer, position)
    here = here.to(there)
    half = max(2, (2 * len(here)) // 3)
    if len(here) - half < 2:
        raise ElError("the models share too few texts to align them by", code="EL511")
    order = torch.randperm(half, generator=ws.generator("align", layer))
    fitted, mixed = align(there[:half], here[:half]), align(there[:half], here[:half][order])

    def judged(found: Callable[[Tensor], Tensor]) -> float:
        left = (here[half:] - found(there[half:])).pow(2).sum()
        whole = (here[half:] - here[:half].mean(dim=0)).pow(2).sum()
        return 1 - float(left / whole) if float(whole) > 0 else 0.0

    return Bridge(align(there, here), "procrustes", judged(fitted), judged(mixed))


def _best_bridge(ws: Workspace, other: Model, layer: int) -> Bridge:
    """The bridge that fits best: by whole passages, or between dialogue models by where the bot is about to speak."""
    positions = (DECISION, MEAN) if _converse(ws.model.text, other.text) else (MEAN,)
    bridges = [_bridge(ws, other, layer, position) for position in positions]
    return max(bridges, key=lambda bridge: bridge.fit or 0.0)


def _converse(*texts: TextModel | None) -> bool:
    """Whether all of them are dialogue models."""
    return all(text is not None and text.dialogue is not None for text in texts)


def shared_states(there: TextModel, here: TextModel, layer: int, position: str) -> tuple[Tensor, Tensor]:
    """(n, d') and (n, d): states of two models that have read the same.

    What is read where the bot is about to speak is compared there, in conversations that both models read (two
    dialogue models); everything else by the mean states of passages.
    """
    if position == DECISION and _converse(here, there):
        read = shared_conversations(here, there, limit=PROBES)
        return turn_states(there, read, layer), turn_states(here, read, layer)
    texts = shared_texts(here, there)
    return text_states(there, texts, layer, MEAN), text_states(here, texts, layer, MEAN)


def shared_texts(here: TextModel, there: TextModel) -> list[str]:
    """Texts by which two models are aligned: passages of the held-out text of the first that has one, and the neutral
    prompts of both. There must be more of them than dimensions, or a rotation is not determined."""
    passages: list[str] = []
    for text in (here, there):
        if text.heldout is not None and not passages:
            tokens = text.heldout[: _TEXTS * _PASSAGE].tolist()
            passages = [text.decode(tokens[i : i + _PASSAGE]) for i in range(0, len(tokens), _PASSAGE)]
    texts = [*here.neutral_prompts, *there.neutral_prompts, *passages]
    return list(dict.fromkeys(text for text in texts if text.strip()))[:_TEXTS]


def transplant(
    ws: Workspace,
    model: str,
    layer: int,
    concept: str,
    strength: float | None,
    there: int | None,
    damage: float,
    placebos: int | None,
    force: bool,
    reason: str,
) -> results.Edit:
    """Install a concept as the OTHER model has it: its texts are read there, the states brought here, and the mean
    becomes an attractor. Of a stream it is what the other memory answers that is brought here."""
    if not ws.model.landscape:
        return carried(ws, model, layer, concept, strength, there, damage, placebos, force, reason)
    if there is not None:
        code, _, lacking, _ = LACKS[Effect.MEMORY]
        raise ElError(
            f"`transplant` with a layer of its own {lacking.format(ws.model.spec)}",
            code=code,
            hint="leave `there` out: a landscape's layer is compared with the same one",
        )
    named = concept_at(ws, layer, concept)
    other = _other(ws, model, layer)
    bridge = _bridge(ws, other, layer, named.position)
    if other.text is None:
        raise ElError(
            f"{model} does not read text: it cannot say what `{concept}` is there",
            code="EL250",
            hint="a concept is transplanted from a text model",
        )
    states = bridge.move(text_states(other.text, named.texts, layer, named.position))
    weight = ws.model.weight(layer)
    brought = Concept(
        f"{concept}-transplanted", layer, named.texts, states.to(weight), position=named.position
    )
    direction = brought.centroid.to(ws.landscape_of(layer).weight)

    def propose(landscape: Landscape, protected: Tensor) -> Proposal:
        generator = ws.generator("transplant", layer, concept)
        return inject(landscape, direction, protected, strength=strength, generator=generator)

    plan = Plan(
        "transplant",
        layer,
        f"{concept} from {model} ({bridge.aligned}{'' if bridge.fit is None else f', fit {bridge.fit:.2f}'})",
        propose,
        asked=asked.installed(ConceptName(brought.name), direction),
        installs=True,
        strength=strength,
    )
    edit = carry_out(ws, plan, force=force, reason=reason)
    if edit.applied:
        keep(ws, brought)
    return edit


@dataclass(frozen=True, eq=False)
class Matched:
    """Basins of a layer and those of another model's that they match: centres ``here`` (k, d) and ``there`` (k, d'),
    row by row, with the other's ``landscape``. ``known`` are their numbers on both sides before matching."""

    landscape: Landscape
    here: Tensor
    there: Tensor
    known: tuple[int, int]
    bridge: Bridge


def matched(ws: Workspace, spec: str, layer: int, centres: Tensor, by: str) -> Matched:
    """The basins ``centres`` (n, d) of a layer and their counterparts in another model, one to one.

    By ``direction``: as the bridge between the models brings their centres here. By ``tokens`` (two text models with
    one tokenizer): by the share that the held-out tokens which settle nearest to both have of those that do to
    either."""
    other = _other(ws, spec, layer)
    landscape = Landscape(other.weight(layer), other.beta(layer), other.degree)
    there = _survey(ws, other, layer).to(landscape.weight)
    bridge = _best_bridge(ws, other, layer)
    if by == "tokens":
        similar, least = _shared_tokens(ws, other, layer, centres, landscape, there), _SHARED
    else:
        similar = gram(centres, bridge.move(there.to(centres)))
        least = SAME if bridge.aligned == "same" else _SETTLED
    pairs = best_matching(similar, least) if len(centres) and len(there) else []
    rows, columns = [i for i, _ in pairs], [j for _, j in pairs]
    return Matched(landscape, centres[rows], there[columns], (len(centres), len(there)), bridge)


@torch.no_grad()
def _shared_tokens(
    ws: Workspace, other: Model, layer: int, mine: Tensor, landscape: Landscape, theirs: Tensor
) -> Tensor:
    """(n, m): the Jaccard index of the held-out tokens that settle nearest to the basins of both models."""
    here, there = ws.text, other.text
    windows = here.choosing_windows(_READ)[:, :-1]
    if there is None or there.encode(here.decode(windows[0].tolist())) != here.encode(
        here.decode(windows[0].tolist())
    ):
        raise ElError(
            f"{other.spec} does not read the same tokens", code="EL511", hint="match basins by=direction"
        )
    eps = float(ws.setting("eps"))

    def nearest(text: TextModel, layer_of: Landscape, centres: Tensor) -> Tensor:
        states = torch.cat(
            [text.forward(part, read=(layer,)).states[layer].flatten(0, 1) for part in text.chunks(windows)]
        )
        ends = settle(layer_of, states.to(layer_of.weight), eps=eps).states
        chosen = gram(ends, centres.to(ends)).argmax(dim=1)
        return torch.nn.functional.one_hot(chosen, len(centres)).double()

    ours, other_s = nearest(here, ws.landscape_of(layer), mine), nearest(there, landscape, theirs)
    both = ours.T @ other_s
    either = ours.sum(0)[:, None] + other_s.sum(0)[None, :] - both
    found: Tensor = both / either.clamp_min(1.0)
    return found


PROBES = 800
