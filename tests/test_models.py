"""A pretrained network is found on this machine or not at all, and nothing that could hold code is opened."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import nudgenet
from nudgenet.errors import SettingError
from nudgenet.models import cached_models, find_model, find_start
from nudgenet.observer import Silent
from nudgenet.records import ImageShape, Shape, TextShape
from nudgenet.settings import Settings
from nudgenet.training.pretrained import recommend_start
from tiny_model import write_image_model, write_model

pytest.importorskip("transformers")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache."""
    import huggingface_hub.constants
    import huggingface_hub.file_download

    folder = tmp_path / "cache"
    folder.mkdir()
    for module in (huggingface_hub.constants, huggingface_hub.file_download):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(folder), raising=False)
    return folder


def test_a_folder_is_a_model(tmp_path: Path) -> None:
    model = find_model(str(write_model(tmp_path / "m")))
    assert model.kind == "bert" and model.config["num_hidden_layers"] == 2
    assert not {"dtype", "torch_dtype", "transformers_version", "architectures"} & set(model.config)


def test_a_name_is_looked_up_in_the_cache_alone(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(SettingError, match=r"no folder, no run, and nothing in the local.*hf download nobody/nothing"):
        find_model("nobody/nothing")
    with pytest.raises(SettingError, match="Give the folder of a model or of a run, or the name of a run"):
        find_model("no such folder at all/..//")
    snapshot = cache / "models--nobody--nothing" / "snapshots" / "abc"
    write_model(snapshot)
    references = cache / "models--nobody--nothing" / "refs"
    references.mkdir()
    (references / "main").write_text("abc")
    assert find_model("nobody/nothing").path == snapshot


def test_what_the_cache_holds_is_known_by_medium(tmp_path: Path, cache: Path) -> None:
    assert cached_models("text") == []
    for name, write in (
        ("a--small", write_model),
        ("b--wide", partial(write_model, width=64)),
        ("c--eye", write_image_model),
    ):
        folder = cache / f"models--{name}"
        write(folder / "snapshots" / "abc")
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text("abc")
    (cache / "models--d--damaged").mkdir()
    assert cached_models("text") == ["a/small", "b/wide"] and cached_models("image") == ["c/eye"]
    assert cached_models("sound") == []
    advice = recommend_start(Shape(0, (), 2, 10, text=TextShape("bag", 9, 8)), Settings())
    assert (
        advice is not None and (advice.setting, advice.value) == ("start_from", "a/small") and "1 more" in advice.text
    )
    assert recommend_start(Shape(3, (), 2, 10), Settings()) is None
    image = ImageShape(1, 8, 8, (0.5,), (0.5,))
    assert recommend_start(Shape(0, (), 2, 10, image), Settings(start_from="c/eye")) is None


def test_a_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    first = find_model(str(write_model(tmp_path / "m"))).fingerprint()
    assert find_model(str(write_model(tmp_path / "n"))).fingerprint() == first
    (tmp_path / "n" / "README.md").write_text("words")
    assert find_model(str(tmp_path / "n")).fingerprint() == first
    (tmp_path / "n" / "tokenizer.json").write_text("{}")
    assert find_model(str(tmp_path / "n")).fingerprint() != first


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"auto_map": {"AutoModel": "modeling.Evil"}}, "code of its own"),
        ({"custom_pipelines": {"x": {"impl": "evil.Pipe"}}}, "code of its own"),
        ({"text_config": {"layers": [{"auto_map": {"AutoModel": "modeling.Evil"}}]}}, "code of its own"),
        ({"model_type": "nudgenet", "medium": "smell"}, "damaged"),
        ({"trust_remote_code": True}, "code of its own"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"model_type": "llama"}, "got llama"),
        ({"is_decoder": True}, "cannot be a start"),
    ],
)
def test_configs_that_are_refused(tmp_path: Path, changes: dict[str, object], expected: str) -> None:
    with pytest.raises(SettingError, match=expected):
        find_model(str(write_model(tmp_path / "m", **changes)))


def test_what_is_absent_or_damaged_is_named(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SettingError, match=r"no safetensors.*pytorch_model\.bin"):
        find_model(str(folder))
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(SettingError, match="holds an adapter"):
        find_model(str(folder))
    (folder / "adapter_config.json").unlink()
    (folder / "config.json").write_text("{")
    with pytest.raises(SettingError, match="damaged"):
        find_model(str(folder))
    (folder / "config.json").write_text("[]")
    with pytest.raises(SettingError, match="damaged"):
        find_model(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(SettingError, match=r"neither a model nor a run \(got .*m, which holds `pytorch_model.bin`"):
        find_model(str(folder))
    (folder / "settings.json").write_text("{}")
    with pytest.raises(SettingError, match="is a run"):
        find_model(str(folder))


def test_what_is_no_start_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b")
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "settings.json").write_text("{}")
    for name, expected in {
        "rows.csv": r"this is a file \(got .*rows.csv\). Give the folder of a model \(config.json",
        "model.safetensors": rf"this is a file .* Give its folder: {tmp_path}$",
        "empty": r"neither a model nor a run \(got .*empty, which is empty\). Give the folder of a model",
        ".": r"neither a model nor a run \(got .*, which holds `empty`, `model.safetensors`, `rows.csv`, `runs`",
        "runs": r"neither a model nor a run .* Give a run that is in it: `.*first`.$",
        "x" * 300: "no folder, no run",
    }.items():
        with pytest.raises(SettingError, match=expected):
            find_model(str(tmp_path / name))


def test_a_name_is_a_path_first_and_then_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = Path("elsewhere")
    for folder in (runs / "first", Path("own")):
        folder.mkdir(parents=True)
        (folder / "settings.json").write_text("{}")
    assert find_start("first", runs) == str(runs / "first")
    assert find_start("own", runs) == "own" and find_start("nobody/nothing", runs) == "nobody/nothing"
    Path("first").mkdir()
    assert find_start("first", runs) == str(runs / "first"), "a folder of data may have a run's name"
    (Path("first") / "config.json").write_text("{}")
    assert find_start("first", runs) == "first"
    assert find_start("x" * 300, runs) == "x" * 300


def test_a_start_that_is_not_there_is_said_before_anything_is_read(tmp_path: Path) -> None:
    for start_from in ("nobody/nothing", str(tmp_path)):
        with pytest.raises(SettingError, match=r"no such model|neither a model nor a run"):
            nudgenet.train(tmp_path / "gone.csv", start_from=start_from, runs=tmp_path / "runs", observer=Silent())
