"""A chat template is a program of the model's: it stays in the sandbox of jinja2."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers

from energylang.errors import CheckpointError
from energylang.models.checkpoint import load

from . import architectures


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% set _ = messages.append(1) %}x",
    ],
)
def test_a_template_reaches_nothing_outside_of_its_sandbox(tmp_path: Path, template: str) -> None:
    config = transformers.LlamaConfig(vocab_size=architectures.VOCABULARY, **architectures._LLAMA)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    architectures.tokenizer(template=template).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="its chat template fails: ") as error:
        load(str(tmp_path))
    assert "unsafe" in error.value.message or "undefined" in error.value.message
