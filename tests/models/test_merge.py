"""`medu1 merge`: the mean against numbers and transformers, and what is refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from verl_medu1.cli.app import main
from verl_medu1.models.merge import RECORD, merge
from verl_medu1.models.tiny import write_tiny_model
from verl_medu1.models.weights import INDEX, WEIGHTS, Weights

TEXTS = ["the patient has a fever", "<think>two and two</think><answer>four</answer>"]


@pytest.fixture(scope="module")
def parents(tmp_path_factory) -> tuple[Path, Path]:
    """Two random models with one tokenizer; their output layers are tied."""
    folder = tmp_path_factory.mktemp("parents")
    for seed, name in enumerate("AB"):
        write_tiny_model(TEXTS, folder / name, seed=seed, hidden=16)
    return folder / "A", folder / "B"


@pytest.fixture
def changeable(parents, tmp_path) -> tuple[Path, Path]:
    """Copies of the two, for a test to spoil."""
    return tuple(Path(shutil.copytree(parent, tmp_path / parent.name)) for parent in parents)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    with Weights(folder) as weights:
        return {name: weights.get(name) for name in weights.shapes}


def rewrite(folder: Path, change) -> None:
    """Store a model's weights changed."""
    found = load_file(folder / WEIGHTS)
    change(found)
    save_file(found, folder / WEIGHTS, metadata={"format": "pt"})


def sharded(folder: Path) -> None:
    """Turn a model's single file into two shards with an index."""
    found = load_file(folder / WEIGHTS)
    names = sorted(found)
    parts = {"model-00001-of-00002.safetensors": names[:3], "model-00002-of-00002.safetensors": names[3:]}
    for file, held in parts.items():
        save_file({name: found[name] for name in held}, folder / file, metadata={"format": "pt"})
    places = {name: file for file, held in parts.items() for name in held}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (folder / WEIGHTS).unlink()


@pytest.mark.parametrize("weight", [0, 0.25, 0.5, 1])
def test_it_is_the_weighted_mean_of_transformers_own_tensors(parents, tmp_path, weight):
    count = merge(*parents, tmp_path / "out", weight)
    one, other, merged = (
        AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (*parents, tmp_path / "out")
    )
    assert merged.keys() == one.keys() and count == len(tensors(parents[0]))
    for name, found in merged.items():
        expected = weight * one[name].double() + (1 - weight) * other[name].double()
        assert (found.double() - expected).abs().max() <= 1e-6, name
    ends = {0: other, 1: one}
    if weight in ends:
        assert all(torch.equal(merged[name], tensor) for name, tensor in ends[weight].items())


def test_the_folder_is_whole(parents, tmp_path):
    out = tmp_path / "below" / "out"
    merge(*parents, out)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert "lm_head.weight" not in tensors(out)
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(parents[0]).chat_template
    assert model.generation_config.eos_token_id == model.config.eos_token_id
    found = json.loads((out / RECORD).read_text())
    assert found == {"first": str(parents[0]), "second": str(parents[1]), "weight": 0.5}
    assert {file.name for file in out.iterdir()} == {file.name for file in parents[0].iterdir()} | {RECORD}
    assert len({file.stat().st_mode for file in out.iterdir()}) == 1
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_shards_or_a_single_file_make_no_difference(changeable, parents, tmp_path):
    sharded(changeable[0])
    merge(*parents, tmp_path / "single")
    merge(*changeable, tmp_path / "mixed")
    merge(*changeable, tmp_path / "small", shard_bytes=20_000)
    assert not (tmp_path / "mixed" / INDEX).exists()
    files = sorted(file.name for file in (tmp_path / "small").glob("*.safetensors"))
    assert len(files) > 2 and (tmp_path / "small" / INDEX).is_file()
    expected = tensors(tmp_path / "single")
    for name in ("mixed", "small"):
        found = tensors(tmp_path / name)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[tensor], expected[tensor]) for tensor in expected)
    AutoModelForCausalLM.from_pretrained(tmp_path / "small")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_precision_stays_and_the_sum_is_wider(changeable, tmp_path, dtype):
    """In bfloat16, 256 + 1 is 256: a sum in the weights' own precision would lose the smaller parent."""

    def store(value: float):
        def change(found):
            for name in found:
                found[name] = torch.full_like(found[name], value).to(dtype)

        return change

    for folder, value in zip(changeable, (256.0, 2.0), strict=True):
        rewrite(folder, store(value))
    merge(*changeable, tmp_path / "out")
    for tensor in tensors(tmp_path / "out").values():
        assert tensor.dtype == dtype and (tensor == 129.0).all()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(weight=st.floats(0, 1), seed=st.integers(0, 2**16), exponent=st.integers(-20, 20))
def test_it_lies_between_its_parents_for_every_weight(parents, tmp_path_factory, weight, seed, exponent):
    folder = tmp_path_factory.mktemp("between")
    copies = [Path(shutil.copytree(parent, folder / parent.name)) for parent in parents]
    generator = torch.Generator().manual_seed(seed)
    for copy in copies:
        rewrite(
            copy,
            lambda found: found.update(
                {name: torch.randn(one.shape, generator=generator) * 2.0**exponent for name, one in found.items()}
            ),
        )
    merge(*copies, folder / "out", weight)
    one, other, found = (tensors(path) for path in (*copies, folder / "out"))
    merge(copies[0], copies[0], folder / "same", weight)
    same = tensors(folder / "same")
    for name, tensor in found.items():
        low, high = torch.minimum(one[name], other[name]), torch.maximum(one[name], other[name])
        slack = 1e-6 * high.abs().max()
        assert ((tensor >= low - slack) & (tensor <= high + slack)).all()
        assert torch.equal(same[name], one[name])
    shutil.rmtree(folder)


def _other_vocabulary(folder: Path) -> None:
    write_tiny_model(["entirely other words", "zyx wvu"], folder / "new", hidden=16)
    for file in (folder / "new").glob("tokenizer*"):
        shutil.copy(file, folder)
    shutil.rmtree(folder / "new")


def _config(**values):
    def change(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return change


def _set(name: str, value):
    return lambda folder: rewrite(folder, lambda found: found.update({name: value(found[name])}))


NORM = "model.norm.weight"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_config(rms_norm_eps=1e-3), r"differ in rms_norm_eps of their config\.json \(1e-06 and 0\.001\)"),
        (_config(eos_token_id=3), r"differ in eos_token_id of their config\.json"),
        (_config(model_type="nobody"), r"the config\.json of \S+/B can't be read \(The checkpoint you are trying"),
        (lambda folder: (folder / "config.json").write_text("{"), r"the config\.json of \S+/B can't be read"),
        (_other_vocabulary, "differ in .* of their tokenizer"),
        (lambda folder: (folder / "chat_template.jinja").write_text("{{ messages }}"), "differ in chat_template of"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), r"the tokenizer of \S+/B can't be read"),
        (_set(NORM, lambda norm: norm[:8].clone()), r"model\.norm\.weight has the shape \[16\] in \S+A, and \[8\]"),
        (_set(NORM, lambda norm: norm.half()), r"model\.norm\.weight is F32 in \S+/A, and F16 in .* one precision"),
        (_set(NORM, lambda norm: norm * torch.nan), r"model\.norm\.weight of \S+/B has values that are not finite"),
        (_set(NORM, lambda norm: norm / 0), r"model\.norm\.weight of \S+/B has values that are not finite"),
        (lambda folder: rewrite(folder, lambda found: found.pop(NORM)), r"B has no model\.norm\.weight, which \S+/A"),
        (
            lambda folder: rewrite(folder, lambda found: found.update({"lm_head.weight": torch.zeros(2, 2)})),
            r"A has no lm_head\.weight, which \S+/B has \(1 such tensors\)",
        ),
        (
            lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100]),
            r"B/model\.safetensors is cut off or no safetensors",
        ),
        (lambda folder: (folder / WEIGHTS).write_bytes(b""), r"B/model\.safetensors is cut off or no safetensors"),
        (lambda folder: (folder / WEIGHTS).unlink(), r"B has neither model\.safetensors nor model\.safetensors\.index"),
        (lambda folder: (folder / "config.json").unlink(), r"B has no config\.json"),
        (shutil.rmtree, r"B has no config\.json; give a folder"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(changeable, tmp_path, spoil, sentence):
    spoil(changeable[1])
    with pytest.raises(ValueError, match=sentence):
        merge(*changeable, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} <= {"A", "B"}


def test_quantised_weights_are_refused(changeable, tmp_path):
    for folder in changeable:
        _set(NORM, lambda norm: norm.to(torch.int8))(folder)
    with pytest.raises(ValueError, match=r"model\.norm\.weight of \S+/A is I8, which can't be averaged"):
        merge(*changeable, tmp_path / "out")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda places: places.update({NORM: "model-00009.safetensors"}), r"model-00009\.safetensors is missing"),
        (lambda places: places.update({"more": places[NORM]}), r"has no more, which model\.safetensors\.index"),
        (
            lambda places: places.update({NORM: "../A/model.safetensors"}),
            r"is not an index of weights \(it names '\.\.",
        ),
        (lambda places: places.update({NORM: 3}), "is not an index of weights"),
    ],
)
def test_an_index_that_is_not_that_of_its_shards_is_refused(changeable, tmp_path, spoil, sentence):
    sharded(changeable[1])
    index = json.loads((changeable[1] / INDEX).read_text())
    spoil(index["weight_map"])
    (changeable[1] / INDEX).write_text(json.dumps(index))
    with pytest.raises(ValueError, match=sentence):
        merge(*changeable, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_adapters_are_not_a_model(parents, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds LoRA's adapters alone; `medu1 export` makes a whole model"):
        merge(parents[0], tmp_path, tmp_path / "out")


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_weight_is_a_share(parents, tmp_path, weight):
    with pytest.raises(ValueError, match=r"--weight is \S+; it is the share of the first model"):
        merge(*parents, tmp_path / "out", weight)


def test_a_folder_that_exists_is_left_alone(parents, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=r"--out \S+ exists"):
        merge(*parents, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_earlier_half_written_merge_is_replaced(parents, tmp_path):
    killed = (
        "import os, pathlib, sys; from verl_medu1.models.whole_folder import whole_folder\n"
        "with whole_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    folder.mkdir(); (folder / 'model-00001-of-00002.safetensors').write_text('half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", killed, tmp_path / "out"]).returncode == 9
    assert (tmp_path / "out.partial" / "out").is_dir()
    merge(*parents, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [file.name for file in (tmp_path / "out").glob("*.safetensors")] == [WEIGHTS]


def test_two_at_once_do_not_share_a_folder(parents, tmp_path):
    writing = (
        "import pathlib, sys; from verl_medu1.models.whole_folder import whole_folder\n"
        "with whole_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    folder.mkdir(); (folder / 'mine').touch(); print('begun', flush=True); input()"
    )
    command = [sys.executable, "-c", writing, tmp_path / "out"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "begun\n"
        with pytest.raises(ValueError, match=r"--out \S+ is being written by another process; wait for it"):
            merge(*parents, tmp_path / "out")
        other.communicate("\n")
    assert other.returncode == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["folder", "file", "link to a folder", "link to nothing"])
def test_a_users_own_folder_of_the_unfinished_name_is_left_alone(parents, tmp_path, kind):
    own, other = tmp_path / "out.partial", tmp_path / "other"
    if kind == "folder":
        own.mkdir()
        (own / "thesis.tex").write_text("years of work")
    elif kind == "file":
        own.write_text("years of work")
    else:
        if kind == "link to a folder":
            other.mkdir()
            (other / "thesis.tex").write_text("years of work")
        own.symlink_to(other)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"out\.partial exists, which is needed .* move it, or give another --out\.$"):
        merge(*parents, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_of_the_unfinished_name_is_used(parents, tmp_path):
    (tmp_path / "out.partial").mkdir()
    merge(*parents, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command_takes_folders_and_runs(parents, tmp_path, monkeypatch, capsys):
    run = tmp_path / "run" / "checkpoints"
    shutil.copytree(parents[1], run / "global_step_3" / "huggingface")
    (run / "latest_checkpointed_iteration.txt").write_text("3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["medu1", "merge", str(parents[0]), "run", "--weight", "0.75", "--out", "out"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code and "0.75 x" in capsys.readouterr().out
    one, other, found = (tensors(path) for path in (*parents, tmp_path / "out"))
    assert torch.allclose(found[NORM], 0.75 * one[NORM] + 0.25 * other[NORM])
    monkeypatch.setattr(sys, "argv", ["medu1", "merge", str(parents[0]), "run", "--weight", "2", "--out", "more"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and capsys.readouterr().err.startswith("medu1: --weight is 2; ")
