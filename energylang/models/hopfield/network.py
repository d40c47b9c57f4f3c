"""The open model: a decoder-only language model whose channel mixer is a Hopfield layer.

    h ← scale · (embed(token) + position)
    h ← h + attention(norm(h));  h ← h + W_out x_K(norm(h))          blocks 0 … L−2
    h ← h + attention(norm(h)) if it attends;  h ← W_out x_K(norm(h))          block L−1 (the bottleneck)
    logits = head(norm(h))

and the Hopfield layer, for a normed stream z, drive u and state x:

    u = W_in y + b        x₀ = tanh(β u)        f(x) = sign(x)|x|^(p−1)
    y = gelu(W_h z + c)   (y = z where ``hidden`` is 0)
    x ← (1−τ) x + τ tanh(β (W f(x) + g_k u))    k = 1 … K

``release``: g = 1 for the first K−R steps and 0 for the last R, so the drive chooses and the state
then settles by itself: what is read is (nearly) a basin of W. ``drive``: g = 1 throughout.

Why the hidden layer: tanh and f are odd, so a drive that is linear in z makes a layer that is odd in z, and products
of features ("this word AND that register") have to come out of the biases. With it the layer learns as fast as a
transformer's (docs/model.md has the comparison); everything still passes through the settled state.

Nothing leads around the bottleneck's Hopfield layer: every prediction is read from a basin, which
is why an edit of the last landscape changes what is said (MODEL, sections 1 and 3).

Everything is a function of a dictionary of tensors. At inference W is used as it stands, symmetric
or not; the trainer hands over (A + Aᵀ)/2 and exports that.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from energylang.models import surprise
from energylang.models.attention import Cache, attention, begin_repeating, embed, head, norm
from energylang.models.hopfield.config import NO_SCAFFOLD, HLMConfig, Scaffold
from energylang.models.hopfield.settling import settle
from energylang.models.protocol import NOTHING, Change, Pass, Start, acts_on, changed, deepest, of_rows, only

Shapes = dict[str, tuple[int, ...]]
_PAIRED = 0.6  # size of the inputs of paired hidden units at the beginning, for a stream of size 1


def is_bottleneck(config: HLMConfig, block: int) -> bool:
    """The last block of a model with a bottleneck: nothing leads around its Hopfield layer."""
    return config.bottleneck and block == config.layers - 1


def has_attention(config: HLMConfig, block: int) -> bool:
    """Every block, but a bottleneck only when it is said to attend."""
    return config.attends or not is_bottleneck(config, block)


def shapes(config: HLMConfig) -> Shapes:
    """The tensors that such a model has, all of them, by canonical name."""
    m, d = config.width, config.dim
    found: Shapes = {
        "embed.weight": (config.vocabulary, m),
        "position.weight": (config.context, m),
        "norm.weight": (m,),
        "norm.bias": (m,),
    }
    for i in range(config.layers):
        block = f"blocks.{i}"
        if has_attention(config, i):
            found |= {f"{block}.norm1.weight": (m,), f"{block}.norm1.bias": (m,)}
            found |= {f"{block}.attention.qkv.weight": (3 * m, m), f"{block}.attention.out.weight": (m, m)}
        found |= {f"{block}.norm2.weight": (m,), f"{block}.norm2.bias": (m,)}
        found |= {f"{block}.hopfield.W": (d, d), f"{block}.hopfield.log_beta": ()}
        if config.hidden:
            found |= {f"{block}.hopfield.hidden.weight": (config.hidden, m)}
            found |= {f"{block}.hopfield.hidden.bias": (config.hidden,)}
        read = config.hidden or m
        found |= {f"{block}.hopfield.input.weight": (d, read), f"{block}.hopfield.input.bias": (d,)}
        found |= {f"{block}.hopfield.output.weight": (m, d)}
    return found


def initial(config: HLMConfig, generator: torch.Generator) -> dict[str, Tensor]:
    """Fresh float32 tensors.

    W has entries of standard deviation 1/(4√d) before it is symmetrised, the drive one of about 1/2, and β = 2:
    the state is hardly saturated and W hardly felt, so the language is learned first and landscapes then. States are
    bounded and dense, so what they add to the stream grows large: with embeddings that enter at a size below 1
    the tokens drown in it and attention finds nothing to look for (``scale`` = √width of the trained sizes).

    What is added to the stream starts small. The bottleneck's output, which IS the stream, starts at full size: what
    attention has copied into the stream comes out of the bottleneck again, roughly, from the first step, as it does in
    a model with a way around.
    """
    small = 0.02 / math.sqrt(2 * config.layers)
    scales = {
        "embed.weight": 1 / math.sqrt(config.width),
        "position.weight": 1 / math.sqrt(config.width),
        "hopfield.W": 0.25 / math.sqrt(config.dim),
        "hopfield.hidden.weight": 0.05,
        "hopfield.input.weight": 1.5 / math.sqrt(config.hidden)
        if config.hidden
        else 0.5 / math.sqrt(config.width),
        "attention.out.weight": small,
        "hopfield.output.weight": small,
    }
    tensors = {}
    for name, shape in shapes(config).items():
        if name.endswith("log_beta"):
            tensors[name] = torch.tensor(math.log(2.0))
        elif len(shape) == 1:
            tensors[name] = torch.ones(shape) if "norm" in name and "weight" in name else torch.zeros(shape)
        else:
            scale = next((s for n, s in scales.items() if name.endswith(n)), 0.02)
            tensors[name] = scale * torch.randn(shape, generator=generator)
    for i in range(config.layers):
        if config.smeared and has_attention(config, i):
            begin_repeating(tensors, i, config.heads, config.smeared)
    if config.bottleneck:
        _pass_on(tensors, config, generator)
    return tensors


def _pass_on(tensors: dict[str, Tensor], config: HLMConfig, generator: torch.Generator) -> None:
    """Let the bottleneck begin as a linear map that gives back what it reads, roughly.

    Half of the hidden units are the negatives of the others, and so are their weights in the drive: gelu(a) − gelu(−a)
    = a. The output is the transpose of what is then one linear map, doubled because β is 2 and tanh flattens.
    """
    name = f"blocks.{config.layers - 1}.hopfield"
    drive = tensors[f"{name}.input.weight"]
    half = config.hidden // 2
    if half:
        square = torch.randn(max(half, config.width), max(half, config.width), generator=generator)
        reading = _PAIRED * torch.linalg.qr(square)[0][:half, : config.width]
        weights = torch.randn(config.dim, half, generator=generator) * 0.5 / math.sqrt(config.width) / _PAIRED
        odd = config.hidden % 2
        rest = tensors[f"{name}.hidden.weight"][:odd]
        tensors[f"{name}.hidden.weight"] = torch.cat([reading, -reading, rest])
        tensors[f"{name}.input.weight"] = torch.cat([weights, -weights, drive[:, :odd]], dim=1)
        drive = weights @ reading
    if config.hidden != 1:
        tensors[f"{name}.output.weight"] = 2 * drive.T.contiguous()


def run(
    tensors: Mapping[str, Tensor],
    config: HLMConfig,
    tokens: Tensor | None,
    change: Change = NOTHING,
    *,
    start: Start | None = None,
    cache: Cache | None = None,
    wanted: Tensor | None = None,
    read: Collection[int] | None = None,
    scaffold: Scaffold = NO_SCAFFOLD,
) -> Pass:
    """``protocol.Network.run``. A layer's state is the settled one, x_K; a pass that starts at a layer begins before
    its Hopfield layer. ``scaffold`` is what training lends."""
    stream, wanted, states = _through(tensors, config, tokens, change, start, cache, wanted, read, scaffold)
    return Pass(head(tensors, stream, wanted), only(states, read))


def missed(
    tensors: Mapping[str, Tensor],
    config: HLMConfig,
    tokens: Tensor | None,
    change: Change,
    start: Start | None,
    goal: Tensor,
    rows: Tensor | None = None,
    cache: Cache | None = None,
    wanted: Tensor | None = None,
) -> Tensor:
    """(b, t), or (n,) at places that are ``wanted``: how far a pass, or one from a start on, predicts something else
    than its goal (see ``surprise``)."""
    stream, wanted, _ = _through(tensors, config, tokens, change, start, cache, wanted, (), NO_SCAFFOLD)
    if wanted is not None:
        stream = stream[wanted]
    found = surprise.missed(tensors, stream.reshape(-1, stream.shape[-1]), goal, rows)
    return found.view(stream.shape[:-1])


def _through(
    tensors: Mapping[str, Tensor],
    config: HLMConfig,
    tokens: Tensor | None,
    change: Change,
    start: Start | None,
    cache: Cache | None,
    wanted: Tensor | None,
    read: Collection[int] | None,
    scaffold: Scaffold,
) -> tuple[Tensor, Tensor | None, dict[int, Tensor]]:
    """The stream behind the last layer, the places of it that are still wanted (``None``: all), and the states."""
    if start is not None:
        first, stream = start.layer, start.stream
    else:
        assert tokens is not None
        first, stream = (
            0,
            _attended(tensors, config, 0, config.scale * embed(tensors, tokens, cache), cache, change),
        )
    states: dict[int, Tensor] = {}
    last = deepest(config.layers, wanted, read, keeps=cache is not None)
    for i in range(first, last + 1):
        if i > first:
            stream = _attended(tensors, config, i, stream, cache, change)
        if i == config.layers - 1 and wanted is not None and _unseen(i, change, read):
            if start is not None and i == first:
                start = start[wanted]
            if change.edits:
                change = of_rows(change, wanted.nonzero()[:, 0])
            stream, wanted = stream[wanted], None
        drive = start.drive if start is not None and i == first else None
        stream, states[i] = _settled(tensors, config, i, stream, change, scaffold, drive)
    if last < config.layers - 1:
        stream, wanted = stream[:0, 0], None
    return stream, wanted, states


def _unseen(i: int, change: Change, read: Collection[int] | None) -> bool:
    """Whether nobody asks for the states of block i, nor acts on them: behind the last attention, a place whose
    prediction is not wanted need not settle then."""
    return read is not None and i not in read and not acts_on(change, i)


def entering(
    tensors: Mapping[str, Tensor],
    config: HLMConfig,
    tokens: Tensor,
    layer: int,
    cache: Cache | None = None,
    _change: Change = NOTHING,
) -> Tensor:
    """(b, t, m): the stream that enters a block's Hopfield layer, for whole sequences (b, t)."""
    stream = _attended(tensors, config, 0, config.scale * embed(tensors, tokens, cache), cache)
    for i in range(layer):
        stream, _ = _settled(tensors, config, i, stream, NOTHING)
        stream = _attended(tensors, config, i + 1, stream, cache)
    return stream


def driven(tensors: Mapping[str, Tensor], config: HLMConfig, i: int, stream: Tensor) -> Tensor:
    """(…, d): what the stream (…, m) that enters block i's Hopfield layer makes of its drive."""
    name = f"blocks.{i}.hopfield"
    normed = norm(tensors, f"blocks.{i}.norm2", stream)
    if config.hidden:
        inner = functional.linear(normed, tensors[f"{name}.hidden.weight"], tensors[f"{name}.hidden.bias"])
        normed = functional.gelu(inner)
    drive = functional.linear(normed, tensors[f"{name}.input.weight"], tensors[f"{name}.input.bias"])
    return drive.to(stream.dtype)  # float32 also under autocast


def looks_back_from(config: HLMConfig, layer: int) -> bool:
    """Whether any attention comes after a layer."""
    return any(has_attention(config, block) for block in range(layer + 1, config.layers))


def said_by(tensors: Mapping[str, Tensor], config: HLMConfig, layer: int, state: Tensor) -> Tensor:
    """(…, v): the logits that a state (…, d) of a layer gives through its output map and the head alone."""
    output = tensors[f"blocks.{layer}.hopfield.output.weight"]
    return head(tensors, functional.linear(state.to(output), output))


def _attended(
    tensors: Mapping[str, Tensor],
    config: HLMConfig,
    i: int,
    stream: Tensor,
    cache: Cache | None,
    change: Change = NOTHING,
) -> Tensor:
    """The stream (b, t, m) between block i's attention and its Hopfield layer."""
    if not has_attention(config, i):
        return stream
    normed = norm(tensors, f"blocks.{i}.norm1", stream)
    return stream + attention(tensors, i, normed, config.heads, cache, config.smeared, change)


def _settled(
    tensors: Mapping[str, Tensor],
    config: HLMConfig,
    i: int,
    stream: Tensor,
    change: Change,
    scaffold: Scaffold = NO_SCAFFOLD,
    drive: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The stream (b, t, m) behind block i's Hopfield layer, and its settled state (b, t, d); its drive (b, t, d) may be
    known."""
    name = f"blocks.{i}.hopfield"
    if drive is None:
        drive = driven(tensors, config, i, stream)
    drive = changed(change, "drive", i, drive)
    weight = change.weights.get(i, tensors[f"{name}.W"])
    state = settle(weight, tensors[f"{name}.log_beta"], drive, config, scaffold, change.edits.get(i))
    state = changed(change, "state", i, state)
    read = functional.linear(state, tensors[f"{name}.output.weight"])
    around = scaffold.around if is_bottleneck(config, i) else 1.0
    return (read + around * stream if around else read), state
