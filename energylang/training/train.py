"""Training a language model from a text file, interruptible at any moment.

One step: windows of the corpus → loss + λ(step)·residual + μ·overlap + ν·dullness → AdamW.

* ``residual``  mean of ‖T^m(x + ε) − x‖²/‖x‖² over a sample of the states x that are read, T one step of settling
  without a drive and ε noise of a given norm relative to x: what is read shall be where its noisy copies settle,
  that is a basin with room around it. One step without noise (m = 1, ε = 0) makes states that hardly move and yet
  drift far when they are let go. λ rises from 0 to its full value between 45 % and 75 % of the training: before the
  model has learned to use what was said earlier, the term keeps it from learning that at all. The last layer, in
  which most tokens' fates differ, settles least by itself: layers weigh from 1 to ``deeper``, in a geometric row
  whose mean is 1.
* ``overlap``   ‖mean n nᵀ‖²_F with n = x/‖x‖: the mean squared cosine between states of different
  tokens; keeps the basins apart.
* ``dullness``  mean of (0.6 − rms x)₊²: the origin is a basin of every W, and the cheapest one to settle in;
  without this term (and a floor for β) whole layers fall asleep there.
* Until λ rises, a state is settled by one step only: the language is learned by a network that is hardly recurrent,
  and faster. In a ``release`` the free steps lose the drive by and by, between 45 % and 75 % of the training: a state
  that has settled in a basin passes hardly any gradient to its drive.
* Until 42 % of the training there is a way around the bottleneck, which closes from 15 % on: that a word which was said
  is said again is learned by attention and head together, and has to be learned before it must pass through a basin.
  Without it no model of ours learned it; and with it one in three only, before half of the heads were smeared and
  began as ones that do it (``attention.begin_repeating``).
* In a dialogue the first token of a bot's turn weighs as much as ``decisions`` tokens: how a reply depends on what was
  said before is decided there, and it is one token in twenty.
* W is trained as (A + Aᵀ)/2 and exported symmetric. No weight decay on W, β, norms and biases; cosine
  schedule with warm-up; gradient norm clipped at 1; β is kept above a floor.

Everything is scheduled by steps. With ``minutes`` the rate is measured on steps whose result is thrown
away, and the number of steps is fixed then. Batches are a function of (seed, step), so the state of a
training is: the parameters, AdamW's two moments, and the step. It is written to ``OUT.train`` every
minute, atomically (safetensors: nothing in it can run). Law (tested): a training killed at any moment
and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional

from energylang.errors import CheckpointError, CorpusError
from energylang.files.locks import held
from energylang.files.storage import check_writable, write_atomic
from energylang.landscape.layer import interaction
from energylang.models.checkpoint import read_tensors_of, save, serialise, sum_fault
from energylang.models.config import attach_text, read_config
from energylang.models.dtypes import entries_of
from energylang.models.header import header_of
from energylang.models.hopfield.config import HLMConfig, Scaffold
from energylang.models.hopfield.sandbox import generator
from energylang.models.index import read_index
from energylang.models.kinds import network
from energylang.models.model import Model
from energylang.models.tokenizer import Tokenizer, check_kind
from energylang.models.transformer import network as transformer
from energylang.training import data
from energylang.training.report import Report, report

#: (architecture, windows per step) by size name; the vocabulary is the corpus's.
SIZES: dict[str, tuple[HLMConfig, int]] = {
    "micro": (HLMConfig(1, context=64, layers=3, width=48, dim=96, heads=4, hidden=96), 12),
    "tiny": (HLMConfig(1, context=96, layers=4, width=128, dim=192, heads=4, hidden=256), 12),
    "small": (HLMConfig(1, context=128, layers=5, width=192, dim=256, heads=6, hidden=384), 16),
    "base": (HLMConfig(1, context=256, layers=7, width=384, dim=512, heads=8, hidden=768), 16),
}
ARCHITECTURES = ("hlm", "transformer")
_HELDOUT_STORED = 32768
_WARM_UP = 100
_RETURNING = 128  # states of a batch and layer whose return is asked for
_SETTLING = (0.45, 0.75)  # between these parts of a training λ rises, and the free steps lose their drive
_CLOSING = (0.15, 0.42)  # the way around the bottleneck closes
_BOT = 1  # the second marker of a dialogue, behind which a bot's turn begins
_AWAKE = 0.6  # root mean square of a state below which it is dull
_DRIVEN_GRADIENT = 4  # steps of a driven settling that gradients follow; all of a released one


@dataclass(frozen=True, slots=True)
class Options:
    """What decides a training, bit for bit (with the corpus, the machine and the thread count)."""

    size: str = "tiny"
    arch: str = "hlm"
    tokenizer: str = "bpe:1024"
    seed: int = 0
    turns: tuple[str, ...] = ()
    learning_rate: float = 3e-3
    mode: str = "release"
    iterations: int = 4  # K
    free: int = 2  # R, of a release
    settle: float = 2.0  # λ
    deeper: float = 6.0  # λ of the last layer relative to the first's
    noise: float = 0.3  # ‖ε‖/‖x‖
    returning: int = 8  # m
    diversity: float = 0.15  # μ
    awake: float = 1.0  # ν
    beta_floor: float = 2.0
    decisions: float = 4.0  # weight of the first token of a bot's turn
    decay: float = 0.1
    bfloat16: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """After a step. ``loss`` in nats/token and ``residual`` are means since the last report."""

    step: int
    steps: int
    loss: float
    residual: float
    tokens_per_second: float
    seconds_left: float
    saved: bool


class Interrupted(Exception):
    """Training was asked to stop; its state is in ``path`` and it can be resumed."""

    def __init__(self, path: Path, step: int, steps: int) -> None:
        super().__init__(f"stopped at step {step} of {steps}")
        self.path, self.step, self.steps = path, step, steps


def bfloat16_helps() -> bool:
    """True where half precision is faster: processors with the instruction for it."""
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe()) if callable(probe) else False


def check(options: Options) -> None:
    """Raise ``CorpusError`` for an option that names nothing, or is of another kind than it should be."""
    for item in dataclasses.fields(Options):
        value, kind = getattr(options, item.name), type(item.default)
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise CorpusError(f"the option {item.name} cannot be {value!r:.80}")
        if isinstance(value, float | int) and not 0 <= value < 2**63:
            raise CorpusError(f"the option {item.name} is out of bounds: {value!r:.80}")
    for name, value, known in (
        ("size", options.size, tuple(SIZES)),
        ("architecture", options.arch, ARCHITECTURES),
    ):
        if value not in known:
            raise CorpusError(f"there is no {name} '{value}'", hint=f"one of {', '.join(known)}")
    check_kind(options.tokenizer)
    if len(options.turns) not in (0, 2):
        raise CorpusError("turn markers come in pairs", hint='for example --turns "user:" "bot:"')


def state_path(output: Path) -> Path:
    """Where the state of an unfinished training is kept."""
    return output.with_name(f"{output.name}.train")


def checkpoint_path(output: Path, step: int) -> Path:
    """Where the model as it was after ``step`` steps is kept, beside the one at the end."""
    return output.with_name(f"{output.stem}.step{step:06d}{output.suffix}")


def checkpoint_steps(steps: int, count: int) -> tuple[int, ...]:
    """The steps after which ``count`` checkpoints of a training are kept: evenly spaced between begin and end, at
    neither of them (the end is the model itself). Raises ``CorpusError`` where there are not so many steps."""
    if not 0 <= count < steps:
        raise CorpusError(
            f"a training of {steps} steps cannot keep {count} checkpoints on the way",
            hint=f"at most {steps - 1}",
        )
    return tuple(k * steps // (count + 1) for k in range(1, count + 1))


def _ramp(progress: float, span: tuple[float, float]) -> float:
    """0 before a span of the training, 1 behind it, and straight in between."""
    low, high = span
    return min(1.0, max(0.0, (progress - low) / (high - low)))


def _depths(layers: int, deeper: float) -> Tensor:
    """(layers,): weights with mean 1, the last ``deeper`` times the first."""
    row = torch.logspace(0, math.log10(deeper), layers)
    return row / row.mean()


class Trainer:
    """A training in progress: parameters, optimiser and step, all of it in ``state()``."""

    def __init__(
        self, corpus: data.Corpus, options: Options, steps: int, tokenizer: Tokenizer | None = None
    ) -> None:
        check(options)
        shape, self.batch_size = SIZES[options.size]
        self.corpus, self.options, self.steps, self.step = corpus, options, steps, 0
        self.markers = data.check_markers(corpus, options.turns)
        self.tokens = data.tokenise(corpus, options.tokenizer, self.markers, shape.context, tokenizer)
        wide = dataclasses.replace(
            shape,
            vocabulary=self.tokens.tokenizer.size,
            mode=cast("Literal['release', 'drive']", options.mode),
            steps=options.iterations,
            free_steps=options.free,
            attends=True,
            scale=math.sqrt(shape.width),
            smeared=shape.heads // 2,
        )
        if problem := wide.problem():
            raise CorpusError(f"no model can be made so: {problem}")
        self.config: Any = wide if options.arch == "hlm" else transformer.equal_budget(wide)
        self.network = network(options.arch)
        self.parameters: dict[str, Tensor] = {}
        self.reset()

    def reset(self) -> None:
        """Back to step 0: fresh parameters from the seed, fresh moments."""
        draw = generator("parameters", self.options.seed)
        self.parameters = self.network.initial(self.config, draw)
        for tensor in self.parameters.values():
            tensor.requires_grad_()
        decayed = [p for n, p in self.parameters.items() if p.dim() == 2 and not n.endswith("hopfield.W")]
        others = [p for n, p in self.parameters.items() if p.dim() != 2 or n.endswith("hopfield.W")]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": self.options.decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=self.options.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.step = 0

    # ---------------------------------------------------------------------------------- steps

    def live(self) -> dict[str, Tensor]:
        """The tensors the network reads: the parameters with W symmetrised."""
        return {n: (p + p.T) / 2 if n.endswith("hopfield.W") else p for n, p in self.parameters.items()}

    def advance(self) -> tuple[float, float]:
        """One step; returns its loss (nats/token) and mean residual term."""
        options, context = self.options, self.config.context
        inputs, targets = data.batch(self.tokens, context, self.batch_size, options.seed, self.step)
        live, progress = self.live(), self.step / self.steps
        settling = _ramp(progress, _SETTLING)
        config = self.config
        if isinstance(config, HLMConfig) and not settling:
            config = dataclasses.replace(config, steps=1, free_steps=0)
        residual = others = torch.zeros(())
        weighted = residual
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
            lent = Scaffold(
                held=1 - settling,
                around=1 - _ramp(progress, _CLOSING),
                truncate=_DRIVEN_GRADIENT if options.mode == "drive" else 0,
            )
            landscapes = isinstance(config, HLMConfig)
            result = self.network.run(live, config, inputs, **({"scaffold": lent} if landscapes else {}))
            each = functional.cross_entropy(
                result.logits.float().flatten(0, 1), targets.flatten(), reduction="none"
            )
            loss = each.mean()
            objective = loss
            if self.markers and options.decisions != 1:
                weights = torch.where(inputs.flatten() == _BOT, options.decisions, 1.0)
                objective = (weights * each).sum() / weights.sum()
            if landscapes:
                each_layer = [self._terms(live, i, s, settling > 0) for i, s in result.states.items()]
                terms = torch.stack([torch.stack(found) for found in each_layer])
                residual = terms[:, 0].mean()
                weighted = (terms[:, 0] * _depths(len(terms), options.deeper)).mean()
                others = (options.diversity * terms[:, 1] + options.awake * terms[:, 2]).mean()
        total = objective + options.settle * settling * weighted + others
        warm = min(1.0, (self.step + 1) / min(_WARM_UP, max(1, self.steps // 10)))
        rate = options.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), 1.0)
        self.optimiser.step()
        with torch.no_grad():
            for name, tensor in self.parameters.items():
                if name.endswith("log_beta"):
                    tensor.clamp_(min=math.log(options.beta_floor))
        self.step += 1
        return float(loss.detach()), float(residual.detach())

    def _terms(
        self, live: Mapping[str, Tensor], layer: int, states: Tensor, settling: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(residual, overlap, dullness) of the settled states (b, t, d) of a layer; gradients flow through the
        residual only when it counts."""
        options = self.options
        flat = states.flatten(0, 1)
        dullness = functional.relu(_AWAKE - flat.float().pow(2).mean(1).sqrt()).pow(2).mean()
        with torch.set_grad_enabled(settling):
            residual = self._residual(live, layer, flat)
        if not options.diversity:
            return residual, torch.zeros(()), dullness
        unit = functional.normalize(flat, dim=1)
        gram = (unit.T @ unit).float() / len(unit)
        return residual, gram.pow(2).sum(), dullness

    def _residual(self, live: Mapping[str, Tensor], layer: int, flat: Tensor) -> Tensor:
        """The mean relative squared distance to where noisy copies of a sample of states (n, d) go."""
        options = self.options
        wanted = flat[self.step % max(1, len(flat) // _RETURNING) :: max(1, len(flat) // _RETURNING)]
        draw = generator("noise", options.seed, self.step, layer)
        noise = options.noise * torch.randn(wanted.shape, generator=draw) / math.sqrt(wanted.shape[1])
        moving = wanted + noise * torch.linalg.vector_norm(wanted.detach(), dim=1, keepdim=True)
        weight, beta = live[f"blocks.{layer}.hopfield.W"], live[f"blocks.{layer}.hopfield.log_beta"].exp()
        tau = getattr(self.config, "tau", 1.0)
        for _ in range(options.returning):
            field = functional.linear(interaction(moving, 3), weight).to(moving.dtype)
            moving = torch.lerp(moving, torch.tanh(beta * field), tau)
        moved = (moving - wanted).pow(2).sum(1)
        found: Tensor = (moved / (wanted.pow(2).sum(1) + 1e-3)).mean().float()
        return found

    def measure_steps(self, seconds: float) -> int:
        """How many steps fit into ``seconds``, from the medians of a few that are thrown away: some of the part of
        the training before states are asked to settle, and some of the slower part behind it."""
        parts = []
        for start in (0, self.steps - 1):
            times = []
            for _ in range(8):
                self.step = start
                started = time.perf_counter()
                self.advance()
                times.append(time.perf_counter() - started)
            parts.append(sorted(times)[len(times) // 2])
        self.reset()
        share = _SETTLING[0]
        return max(20, int(seconds / (share * parts[0] + (1 - share) * parts[1])))

    # ---------------------------------------------------------------------------------- state

    def state(self) -> bytes:
        """Everything a resumed training needs besides the corpus, as a safetensors file."""
        tensors = {f"p.{n}": p for n, p in self.parameters.items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"o.{key}.{name}"] = value
        description = {
            "version": 1,
            "kind": self.options.arch,
            "training": {
                "options": dataclasses.asdict(self.options),
                "config": dataclasses.asdict(self.config),
                "step": self.step,
                "steps": self.steps,
                "corpus_sha256": self.corpus.digest,
                "tokenizer": self.tokens.tokenizer.to_json(),
            },
        }
        return b"".join(serialise(tensors, description))

    @classmethod
    def restore(cls, corpus: data.Corpus, path: Path) -> Trainer:
        """The training whose state is in ``path``; raises ``CheckpointError`` when it is not one, or not
        of this corpus."""
        entries, metadata = read_index(path)
        try:
            stored = metadata["training"]
            assert isinstance(stored, dict)
            given = dict(stored["options"])
            options = Options(**{**given, "turns": tuple(given["turns"])})
            steps, step, digest = int(stored["steps"]), int(stored["step"]), stored["corpus_sha256"]
            tokenizer = Tokenizer.from_json(stored["tokenizer"], str(path))
        except (KeyError, TypeError, ValueError, AssertionError):
            raise CheckpointError(f"{path} is not the state of a training") from None
        if digest != corpus.digest:
            raise CorpusError(
                f"{corpus.path} is not the corpus that the training {path} began with",
                hint=f"its SHA-256 was {str(digest)[:16]}…; train without --resume to start over",
            )
        try:
            trainer = cls(corpus, options, steps, tokenizer)
        except CorpusError as error:
            raise CheckpointError(f"{path} is not the state of a training: {error.message}") from None
        if (
            not 0 <= step <= steps
            or read_config(str(path), {"kind": options.arch, "config": stored.get("config")})
            != trainer.config
        ):
            raise CheckpointError(
                f"{path} was begun with another version, whose '{options.size}' models have another shape",
                hint="train without --resume to start over",
            )
        try:
            tensors = read_tensors_of(path, entries)
            if changed := sum_fault(path, tensors, metadata):
                raise changed
            with torch.no_grad():
                for name, parameter in trainer.parameters.items():
                    parameter.copy_(tensors[f"p.{name}"])
                    moments = {k: tensors.get(f"o.{k}.{name}") for k in ("step", "exp_avg", "exp_avg_sq")}
                    kept = {k: v.clone() for k, v in moments.items() if v is not None}
                    if kept:
                        trainer.optimiser.state[parameter] = kept
        except (KeyError, RuntimeError):
            raise CheckpointError(f"{path} does not fit the training it describes") from None
        trainer.step = step
        return trainer

    def check_finite(self) -> None:
        """Raise ``CorpusError`` for parameters that are no numbers: such a state is not worth keeping."""
        for name, tensor in self.parameters.items():
            if not bool(torch.isfinite(tensor).all()):
                raise CorpusError(
                    f"the training diverged: '{name}' is not finite after step {self.step}",
                    hint=f"begin again with a lower --learning-rate than {self.options.learning_rate:g}",
                )

    def finish(self) -> tuple[Model, Report]:
        """The model as it stands, with its report in its metadata."""
        model = self.model()
        found = report(model, self.tokens.heldout, self.tokens.heldout_characters)
        model.metadata["report"] = found.to_dict()
        return model, found

    def model(self) -> Model:
        """The model as it stands."""
        options = self.options
        tensors = {n: t.detach().clone() for n, t in self.live().items()}
        metadata: dict[str, object] = {
            "kind": options.arch,
            "config": dataclasses.asdict(self.config),
            "tokenizer": self.tokens.tokenizer.to_json(),
            "dialogue": list(self.markers) if self.markers else None,
            "neutral_prompts": data.neutral_prompts(self.corpus, self.markers, options.seed),
            "training": {
                **dataclasses.asdict(options),
                "steps": self.step,
                "batch": self.batch_size,
                "corpus_sha256": self.corpus.digest,
                "training_tokens": len(self.tokens.train),
                "heldout_share": data.HELDOUT_SHARE,
            },
        }
        header = header_of("trained", "the trained model", entries_of(tensors), metadata)
        heldout = self.tokens.heldout[:_HELDOUT_STORED].to(torch.int32)
        model = Model(header, tensors, extra={"heldout": heldout}, metadata=metadata)
        attach_text(model, "the trained model")
        return model


def train(
    corpus_path: Path,
    output: Path,
    options: Options,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    save_every: float = 60.0,
    report_every: int = 10,
    keep_checkpoints: int = 0,
) -> tuple[Model, Report]:
    """Train and write ``output``; returns the model and its report.

    ``steps`` or ``minutes`` fixes the length (10 minutes without either); ``resume`` takes length and
    options from ``OUT.train``; ``threads`` is set for the process. ``should_stop`` is asked after every
    step: when it says yes the state is saved and ``Interrupted`` raised. ``keep_checkpoints`` models are written on
    the way (``checkpoint_steps``, ``checkpoint_path``); a resumed training is told again how many. Raises
    ``CorpusError`` and ``CheckpointError`` for bad input, all of it before the first step.
    """
    check(options)
    check_writable(output)
    if output.suffix != ".safetensors":
        raise CheckpointError(
            f"{output}: models are saved as .safetensors files", hint="-o model.safetensors"
        )
    if threads is not None:
        torch.set_num_threads(threads)
    with held(state_path(output), f"the training of {output}"):
        trainer = _trainer(corpus_path, output, options, steps, minutes, resume)
        kept = checkpoint_steps(trainer.steps, keep_checkpoints)

        def keep() -> None:
            """Write the model as it stands where a checkpoint is wanted."""
            if trainer.step in kept:
                trainer.check_finite()
                save(trainer.model(), checkpoint_path(output, trainer.step))

        _advance(trainer, state_path(output), on_progress, should_stop, save_every, report_every, keep)
        model, found = trainer.finish()
        save(model, output)
        state_path(output).unlink(missing_ok=True)
    return model, found


def _trainer(
    corpus_path: Path, output: Path, options: Options, steps: int | None, minutes: float | None, resume: bool
) -> Trainer:
    """A training that begins, or goes on where it was interrupted."""
    kept = state_path(output)
    corpus = data.read_corpus(corpus_path)
    if resume:
        if not kept.exists():
            raise CheckpointError(f"there is no interrupted training {kept}", hint="train without --resume")
        return Trainer.restore(corpus, kept)
    trainer = Trainer(corpus, options, steps or 100)
    if steps is None:
        trainer.steps = trainer.measure_steps(60 * (minutes or 10.0))
    return trainer


def _advance(
    trainer: Trainer,
    kept: Path,
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    save_every: float,
    report_every: int,
    keep: Callable[[], None],
) -> None:
    """Train to the end, writing the state down now and then; ``keep`` is called after every step."""
    began, last_saved, since = time.monotonic(), time.monotonic(), trainer.step
    losses: list[tuple[float, float]] = []
    while trainer.step < trainer.steps:
        losses.append(trainer.advance())
        _check_loss(trainer, losses[-1][0], kept)
        keep()
        stop, now = should_stop(), time.monotonic()
        saved = stop or now - last_saved >= save_every or trainer.step == trainer.steps
        if saved:
            trainer.check_finite()
            write_atomic(kept, trainer.state())
            last_saved = time.monotonic()
        if saved or trainer.step % report_every == 0:
            each = (now - began) / (trainer.step - since)
            on_progress(
                Progress(
                    step=trainer.step,
                    steps=trainer.steps,
                    loss=sum(a for a, _ in losses) / len(losses),
                    residual=sum(b for _, b in losses) / len(losses),
                    tokens_per_second=trainer.batch_size * trainer.config.context / each,
                    seconds_left=each * (trainer.steps - trainer.step),
                    saved=saved,
                )
            )
            losses.clear()
        if stop and trainer.step < trainer.steps:
            raise Interrupted(kept, trainer.step, trainer.steps)


def _check_loss(trainer: Trainer, loss: float, kept: Path) -> None:
    """Raise ``CorpusError`` where a training has diverged. The state that was written last stays as it is."""
    if math.isfinite(loss):
        return
    last = f"; {kept} holds an earlier step" if kept.exists() else ""
    raise CorpusError(
        f"the training diverged: the loss of step {trainer.step} is {loss}{last}",
        hint=f"begin again with a lower --learning-rate than {trainer.options.learning_rate:g}",
    )
