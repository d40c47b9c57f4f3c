"""Control vectors in GGUF files, as repeng writes them and llama.cpp reads them.

Such a file holds one direction of the residual stream for some of a model's layers, each in a tensor ``direction.N``;
``general.architecture`` says ``controlvector``, ``controlvector.model_hint`` names the architecture of the model, and
``controlvector.layer_count`` counts the directions (both programs write it and neither reads it).

Which stream is N?  The one behind decoder block N, blocks counted from 0: our LN is ``direction.N``, without a shift.

* repeng counts blocks from 0. It takes the direction of layer N from ``hidden_states[N + 1]``, where index 0 is the
  embedding, and adds it to the output of block N. (``batched_get_hiddens`` in ``repeng/extract.py`` and
  ``ControlModule.forward`` in ``repeng/control.py``, https://github.com/vgel/repeng.) For the last block that index
  is the stream after the final norm in most architectures of the transformers library, so its direction was found in
  one place and is added in another. Unless told otherwise repeng leaves block 0 out.
* llama.cpp adds ``direction.N`` behind block ``il = N``, to the sum of its attention and its MLP, before the next
  block: ``build_cvec(cur, il)`` gives what it calls ``l_out-N``. It reads float32 only, and refuses a whole file with
  a ``direction.0``. (``common_control_vector_load_one`` in ``common/common.cpp``, ``llama_adapter_cvec::apply`` in
  ``src/llama-adapter.cpp``, the models in ``src/models``, https://github.com/ggml-org/llama.cpp.)
* llama.cpp's own ``cvector-generator`` measures the stream behind block N - 1 and calls it ``direction.N`` (in
  ``tools/cvector-generator`` its list begins with block 0, and its names with 1). What is read from such a file goes
  where llama.cpp would add it, which is one block behind where it was measured.

Directions keep the length that they have in the file: repeng's have length 1 and want a strength of several units.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from energylang.errors import CheckpointError, FileError
from energylang.files.storage import MIB, check_writable, read_bytes, write_atomic
from energylang.models.described.gguf import Length, read_beginning

ARCHITECTURE = "controlvector"
_HINT, _COUNT = f"{ARCHITECTURE}.model_hint", f"{ARCHITECTURE}.layer_count"
_NAME = re.compile(r"direction\.(0|[1-9]\d{0,5})")
_FLOATS = ("F16", "F32", "F64")

_LARGEST_FILE = 256 * MIB
_LAYERS = 1024
_WIDTH = 2**17
_LONGEST_HINT = 256
_LONGEST_LIST = 2**16  # the library walks through lists item by item


def read_vectors(path: str | Path) -> tuple[dict[int, Tensor], str]:
    """The directions of a control vector by layer, each of shape (d,) in float32 on the CPU, in the order of the
    layers, and the architecture of the model that they were made for, as the file calls it (empty: it does not say).

    Layer N is the stream behind block N, counted from 0; see the module's text. Raises ``CheckpointError`` for a file
    that is missing, truncated, something else, or holds what no control vector holds.
    """
    path = Path(path)
    gguf = _library(path)
    hint = _check_beginning(path)
    try:
        data = read_bytes(path, _LARGEST_FILE, growth=2)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    vectors: dict[int, Tensor] = {}
    with tempfile.TemporaryDirectory(prefix="energylang-") as folder:
        copy = Path(folder) / "vectors.gguf"  # the library maps its file, which must not change meanwhile
        try:
            copy.write_bytes(data)
            reader = gguf.GGUFReader(copy)
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
        except (
            ValueError,
            LookupError,
            TypeError,
            OverflowError,
            AttributeError,
        ):  # whatever it stumbles over
            raise _damaged(path) from None
        for tensor in reader.tensors:
            vectors[_layer_of(tensor.name, path)] = _values(tensor, path)
        del reader
    if not vectors:
        raise CheckpointError(f"{path} holds no direction", hint="it is a control vector without vectors")
    widths = {len(vector) for vector in vectors.values()}
    if len(widths) > 1:
        raise CheckpointError(
            f"{path} has directions of different lengths: {min(widths)} and {max(widths)}",
            hint="all of them belong to one model, whose stream has one width",
        )
    return dict(sorted(vectors.items())), hint


def write_vectors(path: str | Path, vectors: Mapping[int, Tensor], model_hint: str) -> None:
    """Write directions of shape (d,) by layer as a control vector, whole or not at all, in float32. ``model_hint``
    names the architecture of their model as its ``config.json`` does (``llama``).

    What float32 holds is read back bit for bit. Raises ``FileError`` for vectors that such a file cannot hold (none,
    layer 0, several axes, different lengths, infinite numbers), and where the file cannot be written.
    """
    path = Path(path)
    gguf = _library(path)
    rows = _checked(path, vectors, model_hint)
    check_writable(path)
    with tempfile.TemporaryDirectory(prefix="energylang-") as folder:
        copy = Path(folder) / "vectors.gguf"
        try:
            writer = gguf.GGUFWriter(copy, ARCHITECTURE)
            writer.add_string(_HINT, model_hint)
            writer.add_uint32(_COUNT, len(rows))
            for layer, row in rows.items():
                writer.add_tensor(f"direction.{layer}", row.numpy())
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            data = copy.read_bytes()
        except OSError as error:
            raise FileError(
                f"{path} cannot be written: {error.strerror or error}",
                hint="check the space for temporary files",
            ) from None
    write_atomic(path, data)


def _library(path: Path) -> Any:
    """The library that reads and writes GGUF files, imported when it is needed."""
    try:
        import gguf
    except ImportError:
        raise CheckpointError(f"{path} needs the gguf library", hint='pip install "energylang[hf]"') from None
    return gguf


# ---------------------------------------------------------------------------------------------- reading


def _check_beginning(path: Path) -> str:
    """Refuse what is no control vector, before the library sees it; the model's hint."""
    found = read_beginning(path)
    kind = found.values.get("general.architecture")
    if kind != ARCHITECTURE:
        said = (
            f"of a model of the kind '{kind:.40}'" if isinstance(kind, str) and kind else "of something else"
        )
        raise CheckpointError(
            f"{path} is not a control vector: it is a GGUF file {said}",
            hint=f"a control vector calls its architecture '{ARCHITECTURE}'; `load` reads models",
        )
    if len(found.shapes) > _LAYERS or any(
        isinstance(value, Length) and value.count > _LONGEST_LIST for value in found.values.values()
    ):
        raise CheckpointError(
            f"{path} is not a control vector: it holds more than one could",
            hint=f"one for each of {_LAYERS} layers",
        )
    for name, shape in found.shapes.items():
        _layer_of(name, path)
        if len(shape) != 1 or not 1 <= shape[0] <= _WIDTH:
            claim = " × ".join(f"{size}" for size in shape)
            raise CheckpointError(
                f"{path}: '{name}' has the shape {claim:.80}",
                hint=f"a direction is one row of 1 to {_WIDTH} numbers",
            )
    hint = found.values.get(_HINT, "")
    if not isinstance(hint, str) or len(hint) > _LONGEST_HINT:
        raise CheckpointError(
            f"{path} does not name the architecture of its model", hint=f"in {_HINT}, as a text"
        )
    return hint


def _layer_of(name: str, path: Path) -> int:
    match = _NAME.fullmatch(name)
    if match is None or int(match[1]) >= _LAYERS:
        raise CheckpointError(
            f"{path} holds '{name:.80}', which is no direction of a layer",
            hint=f"they are called direction.1 to direction.{_LAYERS - 1}",
        )
    return int(match[1])


def _values(tensor: Any, path: Path) -> Tensor:
    """The numbers of one tensor of the library's, as a row of our own."""
    if tensor.tensor_type.name not in _FLOATS:
        raise CheckpointError(
            f"{path}: '{tensor.name}' is kept as {tensor.tensor_type.name}",
            hint=f"{', '.join(_FLOATS)} are read",
        )
    row = torch.from_numpy(tensor.data.copy()).to(torch.float32)
    if not bool(row.isfinite().all()):
        raise CheckpointError(
            f"{path}: '{tensor.name}' has numbers that are not finite", hint="make it again"
        )
    return row


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is damaged: its header makes no sense", hint="copy or download it again")


# ---------------------------------------------------------------------------------------------- writing


def _checked(path: Path, vectors: Mapping[int, Tensor], model_hint: str) -> dict[int, Tensor]:
    """The vectors in float32 on the CPU, in the order of their layers."""

    def bad(why: str, hint: str) -> FileError:
        return FileError(f"{path} cannot be written: {why}", hint=hint)

    if not vectors:
        raise bad("there is no direction to write", "a control vector has one for at least one layer")
    if not model_hint or len(model_hint) > _LONGEST_HINT or not model_hint.isprintable():
        raise bad("the model's architecture has no name", "a control vector says which models it is for")
    rows: dict[int, Tensor] = {}
    for layer, vector in sorted(vectors.items()):
        if layer == 0:
            raise bad(
                "a control vector has no direction for L0",
                "llama.cpp begins at L1; capture it at a later layer",
            )
        if not 1 <= layer < _LAYERS:
            raise bad(f"there is no L{layer} in a control vector", f"they have L1 to L{_LAYERS - 1}")
        if vector.ndim != 1 or not 1 <= len(vector) <= _WIDTH or not vector.is_floating_point():
            raise bad(f"the direction of L{layer} is no row of numbers", f"a row has 1 to {_WIDTH} numbers")
        rows[layer] = vector.detach().to("cpu", torch.float32).contiguous()
        if not bool(rows[layer].isfinite().all()):
            raise bad(
                f"the direction of L{layer} has numbers that are not finite in float32", "scale it down"
            )
    widths = {len(row) for row in rows.values()}
    if len(widths) > 1:
        raise bad(
            f"its directions have different lengths: {min(widths)} and {max(widths)}",
            "write one file for each model",
        )
    return rows
