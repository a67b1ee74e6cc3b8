"""A pretrained trunk: its means are the library's, empty places change nothing, its layers learn at rates of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from nudgenet.errors import SettingError
from nudgenet.models import find_model
from nudgenet.networks import NETWORKS, rebuild
from nudgenet.networks.capacity import choose_capacity
from nudgenet.networks.pretrained import PretrainedNetwork, load_trunk
from nudgenet.networks.trunks import block_of, plain_weights
from nudgenet.records import Shape, SoundShape, TextShape
from nudgenet.settings import Settings
from nudgenet.training.optimizers import make_optimizer, set_learning_rate
from nudgenet.training.plan import make_plan
from tiny_model import write_model, write_sound_model

transformers = pytest.importorskip("transformers")


SETTINGS = Settings(network="pretrained", unfreeze=True)


@pytest.fixture(params=["bert", "modernbert", "roberta"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", request.param)


def shape_for(folder: Path, columns: tuple[int, ...] = (12,), num_numbers: int = 0) -> Shape:
    config = find_model(str(folder)).config
    num_terms = 1 + len(columns) * int(config["vocab_size"])
    text = TextShape("pretrained", num_terms, sum(columns), columns, json.dumps(dict(config)))
    return Shape(num_numbers, (), 3, 500, text=text)


def built(folder: Path, shape: Shape) -> PretrainedNetwork:
    torch.manual_seed(0)
    network = NETWORKS["pretrained"](shape, choose_capacity(shape, SETTINGS), SETTINGS, torch.zeros(0, 3))
    assert isinstance(network, PretrainedNetwork)
    load_trunk(network, find_model(str(folder)))
    return network.eval()


def tokens_for(lengths: list[int], places: int = 12) -> torch.Tensor:
    tokens = torch.zeros(len(lengths), places, dtype=torch.int32)
    for row, length in enumerate(lengths):
        tokens[row, :length] = torch.randint(5, 40, (length,), generator=torch.Generator().manual_seed(row))
    return tokens


def test_features_are_the_mean_of_what_the_library_gives(folder: Path) -> None:
    network = built(folder, shape_for(folder))
    tokens = tokens_for([12, 3, 7, 1])
    with torch.no_grad():
        found = network.read({"tokens": tokens})
        model = transformers.AutoModel.from_pretrained(folder).eval()
        for row, length in enumerate([12, 3, 7, 1]):
            alone = model(input_ids=tokens[row : row + 1, :length].long() - 1).last_hidden_state.mean(dim=1)
            torch.testing.assert_close(found[row], F.layer_norm(alone, alone.shape[1:])[0], atol=1e-4, rtol=1e-4)
    with_gradients = network.read({"tokens": tokens})
    torch.testing.assert_close(with_gradients.detach(), found, atol=1e-4, rtol=1e-4)
    assert with_gradients.requires_grad


def test_training_on_pieces_of_a_batch_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = built(folder, shape_for(folder))
    tokens = tokens_for([12, 3, 7, 1, 4])
    tokens[0, 4:6] = 0  # left out: what comes after it is read all the same
    whole = network.read({"tokens": tokens})
    for part in network.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    for setting in ("attention_probs_dropout_prob", "attention_dropout"):
        setattr(network.trunk.config, setting, 0.0)
    calls: list[int] = []
    mean = PretrainedNetwork._mean
    monkeypatch.setattr(PretrainedNetwork, "_mean", lambda self, some: (calls.append(len(some)), mean(self, some))[1])
    pieces = network.train().read({"tokens": tokens})
    torch.testing.assert_close(pieces, whole, atol=1e-4, rtol=1e-4)
    assert calls == [3, 2]
    alone = network.eval().read({"tokens": tokens[:1]})
    torch.testing.assert_close(alone[0], whole[0], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(alone, network.read({"tokens": tokens[:1, :10]}), atol=1e-3)


def test_two_columns_share_a_trunk_and_features_stand_for_tokens(folder: Path) -> None:
    network = built(folder, shape_for(folder, (12, 6), num_numbers=2))
    one, two = tokens_for([5, 9]), tokens_for([4, 2], 6)
    assert network.shape.text is not None
    vocabulary = (network.shape.text.num_terms - 1) // 2
    tokens = torch.cat([one, torch.where(two > 0, two + vocabulary, 0)], dim=1)
    inputs = {"tokens": tokens, "numbers": torch.randn(2, 2), "categories": torch.zeros(2, 0, dtype=torch.int64)}
    with torch.no_grad():
        features = network.read({"tokens": tokens})
        single = built(folder, shape_for(folder))
        torch.testing.assert_close(
            features, torch.cat([single.read({"tokens": one}), single.read({"tokens": two})], dim=1)
        )
        cached = network({**inputs, "features": features, "tokens": torch.zeros_like(tokens)})
        torch.testing.assert_close(network(inputs), cached)
        assert not torch.allclose(cached, network({**inputs, "features": features, "numbers": torch.zeros(2, 2)}))


def test_rates_fall_from_layer_to_layer(folder: Path) -> None:
    network, shape = built(folder, shape_for(folder)), shape_for(folder)
    plan = make_plan(SETTINGS, shape)[0]
    optimizer = make_optimizer(network, plan)
    set_learning_rate(optimizer, 1.0)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    by_depth: dict[int | None, set[float]] = {}
    still = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert len(still) == 1 and still[0].endswith(("word_embeddings.weight", "tok_embeddings.weight"))
    for name, parameter in network.named_parameters():
        if name in still:
            assert id(parameter) not in rates
            continue
        by_depth.setdefault(network.depth_of(name), set()).add(rates[id(parameter)])
    assert set(by_depth) == {None, 0, 1, 2} and all(len(found) == 1 for found in by_depth.values())
    ordered = [by_depth[depth].pop() for depth in (None, 0, 1, 2)]
    assert ordered == sorted(ordered, reverse=True) and ordered[0] == 1.0 and len(set(ordered)) == 4


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("encoder.layer.3.output.dense.weight", "encoder.layer.3"),
        ("encoder.albert_layer_groups.0.albert_layers.0.ffn.weight", "encoder.albert_layer_groups.0.albert_layers.0"),
        ("encoder.stages.1.layers.0.dwconv.weight", "encoder.stages.1.layers.0"),
        ("stages.2.4.first.weight", "stages.2"),
        ("embeddings.word_embeddings.weight", None),
    ],
)
def test_layers_are_told_by_their_names(name: str, block: str | None) -> None:
    assert block_of(name) == block


def test_a_network_is_rebuilt_without_the_folder(folder: Path) -> None:
    shape = shape_for(folder)
    network = built(folder, shape)
    for path in folder.iterdir():
        path.unlink()
    again = rebuild(shape, SETTINGS.model_copy(update={"start_from": str(folder)}), network.state_dict())
    inputs = {"tokens": tokens_for([5, 9])}
    with torch.no_grad():
        assert torch.equal(network(inputs), again(inputs))


def test_weights_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    shape = shape_for(write_model(tmp_path / "small"))
    network = built(tmp_path / "small", shape)
    with pytest.raises(SettingError, match="cannot be read"):
        load_trunk(network, find_model(str(write_model(tmp_path / "large", width=64))))
    (tmp_path / "small" / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(SettingError, match="cannot be read"):
        load_trunk(network, find_model(str(tmp_path / "small")))


def test_a_pretrained_network_needs_a_start() -> None:
    shape = Shape(2, (), 1, 100)
    with pytest.raises(SettingError, match="needs a start"):
        NETWORKS["pretrained"](shape, choose_capacity(shape, Settings()), SETTINGS, torch.zeros(0, 3))


def test_lora_leaves_the_trunk_and_can_be_added_to_it(folder: Path) -> None:
    pytest.importorskip("peft")
    shape = shape_for(folder)
    settings = SETTINGS.model_copy(update={"lora": 2})
    torch.manual_seed(0)
    network = NETWORKS["pretrained"](shape, choose_capacity(shape, settings), settings, torch.zeros(0, 3)).eval()
    assert isinstance(network, PretrainedNetwork)
    load_trunk(network, find_model(str(folder)))
    tokens = {"tokens": tokens_for([12, 3, 7])}
    plain = built(folder, shape)
    with torch.no_grad():
        torch.testing.assert_close(network.read(tokens), plain.read(tokens))  # what is added is nothing at first
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    added = {name for name in trained if name.startswith("trunk.")}
    assert added and all(".lora_" in name for name in added) and {"direct.weight", "direct.bias"} <= trained
    optimizer = make_optimizer(network, make_plan(settings, shape)[0])
    counted = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert counted == {id(parameter) for name, parameter in network.named_parameters() if name in trained}
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".lora_" in name:
                parameter.normal_(0.0, 0.1)
        moved = network.read(tokens)
        assert not torch.allclose(moved, plain.read(tokens), atol=1e-2)
        plain.trunk.load_state_dict(plain_weights(network.trunk))
        torch.testing.assert_close(plain.read(tokens), moved, atol=1e-4, rtol=1e-4)
        again = rebuild(shape, settings, network.state_dict())
        torch.testing.assert_close(again(tokens), network(tokens))


@pytest.mark.parametrize("kind", ["wav2vec2", "audio-spectrogram-transformer"])
def test_no_rows_have_no_features(kind: str, tmp_path: Path) -> None:
    model = find_model(str(write_sound_model(tmp_path / "model", kind)))
    told = json.dumps(model.read_json("preprocessor_config.json"))
    network = built(model.path, Shape(0, (), 3, 500, sound=SoundShape(4_000, 8_000, model.packed_config, told)))
    with torch.no_grad():
        for count in (0, 2):
            waves = torch.full((count, 4_000), 300, dtype=torch.int16)
            assert network.read({"waves": waves}).shape == (count, len(network.center))
            assert network({"waves": waves}).shape == (count, 3)
