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


def write_image_model(folder: Path, kind: str = "vit", side: int = 32, **changes: Any) -> Path:
    """config.json, model.safetensors and preprocessor_config.json of an encoder of images; `changes` go into the last."""
    own: dict[str, dict[str, Any]] = {
        "vit": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
        "dinov2": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2},
        "convnext": {"hidden_sizes": [8, 16], "depths": [1, 2], "num_stages": 2},
    }
    shape = {} if kind == "convnext" else {"image_size": side, "patch_size": 8}
    _write(folder, kind, {**own[kind], **shape})
    processors: dict[str, dict[str, Any]] = {
        "vit": {"image_processor_type": "ViTImageProcessor", "size": {"height": side, "width": side}, "resample": 2},
        "dinov2": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": side + 6}, "resample": 3,
                   "do_center_crop": True, "crop_size": {"height": side, "width": side}},
        "convnext": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": side}, "crop_pct": 0.875,
                     "resample": 3},
    }  # fmt: skip
    usual = {
        "do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps({**usual, **processors[kind], **changes}))
    return folder


def write_sound_model(folder: Path, kind: str = "wav2vec2", **changes: Any) -> Path:
    """config.json, model.safetensors and preprocessor_config.json of an encoder of sounds; `changes` go into the last."""
    usual = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    if kind == "audio-spectrogram-transformer":
        own: dict[str, Any] = {
            "num_mel_bins": 32,
            "max_length": 60,
            "patch_size": 8,
            "time_stride": 8,
            "frequency_stride": 8,
        }
        told = {"feature_extractor_type": "ASTFeatureExtractor", "num_mel_bins": 32, "max_length": 60}
    else:
        own = {"conv_dim": [16, 16], "conv_stride": [10, 8], "conv_kernel": [20, 8], "num_feat_extract_layers": 2,
               "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "feat_extract_norm": "layer"}  # fmt: skip
        told = {
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "return_attention_mask": True,
            "do_normalize": True,
        }
    _write(folder, kind, usual | own)
    content = {"sampling_rate": 8_000, "feature_size": 1, "padding_value": 0.0, **told, **changes}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))
    return folder


def _write(folder: Path, kind: str, settings: dict[str, Any]) -> None:
    from transformers import AutoConfig, AutoModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = AutoModel.from_config(AutoConfig.for_model(kind, **settings))
        for parameter in model.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, 0.0, 0.3)
    model.save_pretrained(folder)
