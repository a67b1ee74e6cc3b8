"""A random pretrained network of a few thousand knobs, in the files that a real one has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from conftest import FILLING, KIND, UNKIND

WORDS = (*FILLING, *KIND, *UNKIND)


def write_model(folder: Path, kind: str = "bert", width: int = 32, **changes: Any) -> Path:
    """config.json, model.safetensors and tokenizer.json of an encoder with two layers; `changes` go into the config."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import AutoConfig, AutoModel

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    pieces = [
        *specials,
        *WORDS,
        *"abcdefghijklmnopqrstuvwxyz",
        *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
    ]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    config = AutoConfig.for_model(
        kind, vocab_size=len(vocabulary), hidden_size=width, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=2 * width, max_position_embeddings=40, pad_token_id=0, bos_token_id=2, eos_token_id=3,
        cls_token_id=2, sep_token_id=3,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = AutoModel.from_config(config)
        for parameter in model.parameters():  # a random encoder tells texts apart only if its words differ enough
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, 0.0, 0.3)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    if changes:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder
