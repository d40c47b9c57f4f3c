"""Running a pretrained transformer: the library's own forward pass, with our tensors in it.

The module of the library holds no weights of its own: before a pass every parameter is made the model's live tensor of
that name (no copy), so ``Model.put`` is felt at once. Each block, its MLP's down-projection, its attention's output and
the head are called through this file. That is where states are read and changed, where a pass begins that leaves out
what lies below a layer (blocks below it hand on what they are given), where one ends that nobody needs more of, and
where the head takes only the places that are wanted. What is called is otherwise the library's own, with the same
inputs, so states and logits have its bits.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache as LibraryCache

from energylang.models.attention import Cache
from energylang.models.protocol import (
    NOTHING,
    Change,
    Pass,
    Start,
    answered,
    changed,
    deepest,
    reads_mlp,
    written,
)

from .decoder import Decoder


class _Enough(Exception):
    """Everything that was asked for has been read."""


@dataclass
class _Pass:
    """What one pass is to do. ``first`` is the block at which it begins, ``last`` the one behind which it ends."""

    change: Change
    first: int
    stream: Tensor | None
    last: int
    read: Collection[int] | None
    wanted: Tensor | None
    states: dict[int, Tensor] = field(default_factory=dict)
    places: tuple[int, ...] = ()  # (b, t) of the block that is at work
    given: Tensor | None = None  # (b, t, m): what its MLP reads, where a change asks for it


class Machine:
    """The configuration of a pretrained network, and the library's module that runs it.

    ``context`` is how many tokens it reads at once. The module's parameters are given before every pass.
    """

    def __init__(self, module: Any, decoder: Decoder, context: int) -> None:
        self.module, self.decoder, self.context = module, decoder, context
        self.layers = len(decoder.blocks)
        self.now = _Pass(NOTHING, 0, None, self.layers - 1, None, None)
        self.given: tuple[Mapping[str, Tensor], Change] | None = None  # what the module has in a pass
        self.lock = threading.RLock()
        self.tuples: bool | None = None  # whether a block answers with a tuple
        places: dict[str, list[tuple[dict[str, Any], str]]] = {}
        names = {id(value): name for name, value in module.named_parameters()}
        for inner in module.modules():
            for short, value in inner._parameters.items():
                if value is not None:
                    places.setdefault(names[id(value)], []).append((inner._parameters, short))
        self.places = places
        asked = inspect.signature(module.forward).parameters
        self.cache_word = "cache" if "cache" in asked else "past_key_values"
        self.positions = "position_ids" in asked
        for i, block in enumerate(decoder.blocks):
            _through(block.module, self._block(i))
            _through(block.up, self._entered(i))
            _through(block.down, self._part(i, "neurons"))
            _through(block.out, self._part(i, "heads"))
        _through(decoder.head, self._head)

    @contextlib.contextmanager
    def doing(self, what: _Pass) -> Iterator[_Pass]:
        """One thread at a time has the module; a pass inside of another one's change leaves that one as it was."""
        with self.lock:
            outer, given, self.now = self.now, self.given, what
            try:
                yield what
            finally:
                self.now, self.given = outer, given
                if given is not None:
                    self.give(*given)

    def give(self, tensors: Mapping[str, Tensor], change: Change) -> None:
        """Make the module's parameters these tensors, and those of the change where it has one."""
        self.given = tensors, change
        instead = {self.decoder.blocks[layer].down_name: weight for layer, weight in change.weights.items()}
        for name, places in self.places.items():
            tensor = instead.get(name, tensors[name])
            for parameters, short in places:
                if parameters[short] is not tensor:
                    parameters[short] = tensor

    # ------------------------------------------------------------------ what is called in between

    def _block(self, i: int) -> Callable[..., Any]:
        def call(inner: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            now = self.now
            given, rest = (args[0], args[1:]) if args else (kwargs.pop("hidden_states"), ())
            if now.last < 0:
                now.states[-1] = given
                raise _Enough
            if i < now.first:
                stream, more = (now.stream if i == self.layers - 1 else given), ()
            else:
                if i == now.first and now.stream is not None:
                    given = now.stream
                now.places = tuple(given.shape[:2])
                answer = inner(given, *rest, **kwargs)
                self.tuples = isinstance(answer, tuple)
                stream, more = (answer[0], answer[1:]) if self.tuples else (answer, ())
                stream = self._changed(i, stream)
                if now.read is None or i in now.read:
                    now.states[i] = stream
                if i == now.last:
                    raise _Enough
            return (stream, *more) if self.tuples else stream

        return call

    def _changed(self, i: int, stream: Tensor) -> Tensor:
        stream = changed(self.now.change, "drive", i, stream)
        return changed(self.now.change, "state", i, stream)

    def _entered(self, i: int) -> Callable[..., Any]:
        def call(inner: Callable[..., Any], given: Tensor, *args: Any, **kwargs: Any) -> Any:
            if reads_mlp(self.now.change, i):
                self.now.given = given.reshape(*self.now.places, given.shape[-1])
            return inner(given, *args, **kwargs)

        return call

    def _part(self, i: int, kind: str) -> Callable[..., Any]:
        block = self.decoder.blocks[i]

        def call(inner: Callable[..., Any], given: Tensor, *args: Any, **kwargs: Any) -> Any:
            shaped = given.reshape(*self.now.places, given.shape[-1])  # OPT flattens what its MLP reads
            if kind == "heads":
                shaped = shaped.reshape(*self.now.places, block.heads, block.head_dim)
            new = changed(self.now.change, kind, i, shaped)
            if new is not shaped:
                given = new.reshape(given.shape)
            said = inner(given, *args, **kwargs)
            if kind == "neurons":
                before = said.reshape(*self.now.places, said.shape[-1])
                after = written(self.now.change, i, new, before)
                if reads_mlp(self.now.change, i):
                    assert self.now.given is not None  # the MLP has read before it answers
                    after = answered(self.now.change, i, self.now.given, after)
                said = said if after is before else after.reshape(said.shape)
            return said

        return call

    def _head(self, inner: Callable[..., Any], given: Tensor, *args: Any, **kwargs: Any) -> Any:
        if self.now.wanted is not None:
            given = given[self.now.wanted]
        return inner(given, *args, **kwargs)


def _through(module: nn.Module, call: Callable[..., Any]) -> None:
    """Let a module be called through ``call(its own forward, …)``."""
    inner = module.forward
    module.forward = lambda *args, **kwargs: call(inner, *args, **kwargs)


class _Kept(LibraryCache):
    """The library's view of our cache: rows of unequal length, written behind each row's own last token."""

    def __init__(self, cache: Cache) -> None:
        super().__init__(layers=[])
        self.kept = cache

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        (keys, values), _ = self.kept.extend(layer_idx, key_states, value_states)
        return keys, values

    def get_seq_length(self, *_: Any, **__: Any) -> int:
        return int(self.kept.lengths.max())

    def get_mask_sizes(self, *_: Any, **__: Any) -> tuple[int, int]:
        return self.kept.size, 0

    @property
    def is_compileable(self) -> bool:
        return False


# ------------------------------------------------------------------------------------ protocol.Network


def shapes(config: Machine) -> dict[str, tuple[int, ...]]:
    """The tensors that such a model has, all of them, by canonical name."""
    return {name: tuple(places[0][0][places[0][1]].shape) for name, places in config.places.items()}


def run(
    tensors: Mapping[str, Tensor],
    config: Machine,
    tokens: Tensor | None,
    change: Change = NOTHING,
    *,
    start: Start | None = None,
    cache: Cache | None = None,
    wanted: Tensor | None = None,
    read: Collection[int] | None = None,
) -> Pass:
    """``protocol.Network.run``. A layer's state is the stream behind its block; a pass that starts at a layer begins
    before its block. Where no place is wanted it ends behind the last layer that is read."""
    nothing = wanted is not None and not bool(wanted.any())
    last = deepest(config.layers, wanted, read, keeps=cache is not None) if nothing else config.layers
    if nothing and last < (start.layer if start is not None else 0):
        return Pass(torch.zeros(0), {})
    if start is not None and config.tuples is None:  # how do its blocks answer?
        with config.doing(_Pass(NOTHING, 0, None, 0, (), None)):
            _call(config, tensors, torch.zeros(1, 1, dtype=torch.int64, device=start.stream.device), NOTHING)
    first, stream = (0, None) if start is None else (start.layer, start.stream)
    given = tokens if stream is None else stream
    assert given is not None
    with config.doing(_Pass(change, first, stream, last, read, wanted)) as now:
        logits = _call(config, tensors, given, change, cache)
    return Pass(torch.zeros(0) if logits is None else logits, now.states)


def entering(
    tensors: Mapping[str, Tensor],
    config: Machine,
    tokens: Tensor,
    layer: int,
    cache: Cache | None = None,
    change: Change = NOTHING,
) -> Tensor:
    """(b, t, d): the stream that enters a block, for whole sequences (b, t)."""
    if layer == 0:
        with config.doing(_Pass(NOTHING, 0, None, -1, (), None)) as now:
            _call(config, tensors, tokens, NOTHING, cache)
        return now.states[-1]
    none = torch.zeros_like(tokens, dtype=torch.bool)
    return run(tensors, config, tokens, change, cache=cache, wanted=none, read=(layer - 1,)).states[layer - 1]


def looks_back_from(config: Machine, layer: int) -> bool:
    """Whether any attention comes after a layer."""
    return layer < config.layers - 1


def said_by(tensors: Mapping[str, Tensor], config: Machine, layer: int, state: Tensor) -> Tensor:
    """(…, v): the logits that a stream (…, d) gives through the final norm and the head alone."""
    kind = next(iter(tensors.values())).dtype
    flat = state.reshape(-1, 1, state.shape[-1]).to(kind)  # rows of one place each
    logits = run(tensors, config, None, start=Start(config.layers, flat), read=()).logits
    return logits.reshape(*state.shape[:-1], -1)


def _call(
    config: Machine,
    tensors: Mapping[str, Tensor],
    given: Tensor,
    change: Change,
    cache: Cache | None = None,
) -> Tensor | None:
    """The logits of the library's pass of tokens (b, t) or of a stream (b, t, d); ``None`` where it ended before. (In a
    pass that starts at a layer the stream stands for the tokens, of which only the number counts then.)"""
    config.give(tensors, change)
    words: dict[str, Any] = {"input_ids" if given.dim() == 2 else "inputs_embeds": given, "use_cache": False}
    if cache is not None:
        places = cache.places(given.shape[1])
        size = torch.arange(cache.size, device=places.device)
        hidden = size > places[..., None]
        dtype = next(iter(tensors.values())).dtype
        mask = torch.zeros(hidden.shape, dtype=dtype, device=places.device)
        mask = mask.masked_fill(hidden, torch.finfo(dtype).min)[:, None]
        words |= {"attention_mask": mask, config.cache_word: _Kept(cache), "use_cache": True}
        if config.positions:
            words["position_ids"] = places.clamp(max=config.context - 1)
    try:
        logits: Tensor = config.module(**words).logits
    except _Enough:
        return None
    return logits
