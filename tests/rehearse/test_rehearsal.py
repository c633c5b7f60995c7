"""`medu1 rehearse`: a small rank against real ranks on gloo, true sizes against the plan, and its sentences."""

import json
import subprocess
import sys

import pytest

from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.settings import Settings
from verl_medu1.rehearse.batch import micro_batches, row_lengths
from verl_medu1.rehearse.require import require_rehearsable

SEVEN = "recipe=qwen2.5-7b-1x8h100-tp2-pp1"
SEVENTY = "recipe=llama-3.1-70b-8x8h100-tp8-pp4"
SMALL = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 512,
    "vocab_size": 1024,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
}


def rehearse(*arguments: str) -> dict:
    """What the command prints, in a process of its own as a user starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "verl_medu1.cli.app", "rehearse", *arguments, "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> str:
    from verl_medu1.plan.architecture import architecture_of
    from verl_medu1.rehearse.model_folder import write_model_folder

    folder = tmp_path_factory.mktemp("small")
    write_model_folder(architecture_of("small", SMALL), folder)
    return f"actor_rollout_ref.model.path={folder}"


def calls(rehearsed: dict) -> dict[tuple[str, str], tuple[int, int]]:
    return {(each["collective"], each["group"]): (each["calls"], each["bytes"]) for each in rehearsed["collectives"]}


@pytest.mark.timeout(400)
def test_a_middle_stage(small):
    """Rank 2 of TP2 PP4: what it holds, and each collective of its update, counted by hand."""
    found = rehearse(
        SEVENTY, small, "trainer.nnodes=1", "trainer.n_gpus_per_node=8", "--rank", "2",
        "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=2",
    )  # fmt: skip
    assert (found["world"], found["stage"], found["micro_batches"], found["rows"]) == (8, 1, 5, [6144, 6144])
    assert found["parameters"]["rehearsed"] == found["parameters"]["planned"]
    for part in ("weights", "gradients", "optimizer"):
        # The optimizer's buffer is padded.
        assert found["memory"][part]["rehearsed"] == pytest.approx(found["memory"][part]["planned"], rel=1e-3)
    hidden = 12288 * 256 * 2  # bytes of a micro-batch's hidden states, all of its tokens
    counted = calls(found)
    # A layer gathers before qkv and fc1, once more when it is recomputed, again for the gradients of their weights, and
    # the gradients of the outputs of proj and fc2; it scatters the outputs twice, twice more when it is recomputed, and
    # the gradients of two inputs.
    assert counted["all-gather", "TENSOR_MODEL_PARALLEL_GROUP"] == (5 * 8, 5 * 8 * hidden)
    assert counted["reduce-scatter", "TENSOR_MODEL_PARALLEL_GROUP"] == (5 * 6, 5 * 6 * hidden)
    # A shape and a tensor, forward and backward.
    shape = 3 * 8
    for way in ("send", "receive"):
        assert counted[way, "PIPELINE_MODEL_PARALLEL_GROUP"] == (5 * 4, 5 * 2 * (hidden // 2 + shape))


@pytest.mark.timeout(400)
def test_lora(small):
    """Megatron-Bridge's adapters on the same rank: what the plan says of frozen and trained parameters."""
    found = rehearse(
        SEVENTY, small, "trainer.nnodes=1", "trainer.n_gpus_per_node=8", "--rank", "2",
        "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=2", "actor_rollout_ref.model.lora.rank=16",
    )  # fmt: skip
    # One layer on two ranks: r (inputs + outputs) of qkv, proj, fc1 and fc2.
    adapters = 16 * ((256 + 384) + (256 + 256) + (256 + 1024) + (512 + 256)) // 2
    memory = found["memory"]
    assert found["parameters"]["rehearsed"] == found["parameters"]["planned"]
    assert memory["weights"]["rehearsed"] == memory["weights"]["planned"]
    for part, each in (("gradients", 4), ("optimizer", 12)):
        assert memory[part]["rehearsed"] == memory[part]["planned"] == each * adapters
    rehearsed, planned = (
        sum(memory[part][side] for part in ("activations", "logits")) for side in ("rehearsed", "planned")
    )
    assert planned == pytest.approx(rehearsed, rel=0.05)
    # What an adapter adds in each pass: see plan/communication.py.
    hidden, counted = 12288 * 256 * 2, calls(found)
    moved = sum(counted[kind, "TENSOR_MODEL_PARALLEL_GROUP"][1] for kind in ("all-gather", "reduce-scatter"))
    assert moved == pytest.approx(5 * hidden * 3 * 8, rel=0.05)


@pytest.mark.timeout(400)
def test_rows_that_do_not_fill_the_limit_and_no_sequence_parallelism(small):
    found = rehearse(
        SEVENTY, small, "trainer.nnodes=1", "trainer.n_gpus_per_node=8", "--rank", "2",
        "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=2",
        "actor_rollout_ref.actor.megatron.sequence_parallel=false",
        "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=12290",
    )  # fmt: skip
    assert found["rows"] == [4096, 4096, 4096]
    counted, hidden, shape = calls(found), 12288 * 256 * 2, 3 * 8
    for way in ("send", "receive"):
        assert counted[way, "PIPELINE_MODEL_PARALLEL_GROUP"] == (5 * 4, 5 * 2 * (hidden + shape))
    # The outputs of proj and fc2, once more when they are recomputed, and the gradients of two inputs.
    assert counted["all-reduce", "TENSOR_MODEL_PARALLEL_GROUP"] == (5 * 6, 5 * 6 * hidden)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("recipe", "rank"),
    [
        (SEVEN, 0),
        ("recipe=qwen3-8b-1x8h100-tp2-pp1", 0),
        ("recipe=qwen2.5-32b-4x8h100-tp4-pp2", 0),
        (SEVENTY, 0),
        (SEVENTY, 48),
        ("recipe=qwen2.5-7b-lora-1x1l40s-tp1-pp1", 0),
        ("recipe=qwen3-30b-a3b-2x8h100-tp2-pp1-ep8", 0),
    ],
)
def test_the_plan_is_within_a_tenth_of_true_ranks(recipe, rank):
    found = rehearse(recipe, "--rank", str(rank))
    memory = found["memory"]
    assert found["parameters"]["rehearsed"] == found["parameters"]["planned"]
    for part in ("weights", "gradients", "optimizer"):
        assert memory[part]["rehearsed"] == pytest.approx(memory[part]["planned"], rel=1e-3)
    rehearsed, planned = (
        sum(memory[part][side] for part in ("activations", "logits")) for side in ("rehearsed", "planned")
    )
    assert rehearsed == pytest.approx(planned, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "rank", "sentence"),
    [
        (Settings(fp8="hybrid"), 0, "fp8 is 'hybrid', and FP8 is Transformer Engine's"),
        (Settings(strategy="fsdp2"), 0, "actor_rollout_ref.actor.strategy is 'fsdp2'"),
        (Settings(precision_aware=True), 0, "that optimizer is Transformer Engine's"),
        (Settings(), 8, "--rank is 8, and the recipe has ranks 0 to 7."),
        (Settings(), -1, "--rank is -1"),
    ],
)
def test_what_is_not_rehearsed(settings, rank, sentence):
    with pytest.raises(ValueError, match=sentence.replace(".", r"\.")):
        require_rehearsable(settings, find_architecture("Qwen3-8B"), rank)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["precision=bf16"], "nothing to rehearse: give recipe=NAME."),
        ([SEVEN, "precision=fp8"], "rehearse with precision=bf16."),
        ([SEVEN, "+actor_rollout_ref.actor.megatron.tensor_modl_parallel_size=2"], "tensor_modl_parallel_size"),
        ([SEVEN, "actor_rollout_ref.actor.megatron.tensor_model_parallel_size=3"], "tensor_model_parallel_size is 3"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence, monkeypatch, capsys):
    from verl_medu1.cli.app import main

    monkeypatch.setattr(sys, "argv", ["medu1", "rehearse", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert (left.value.code, sentence in capsys.readouterr().err) == (2, True)


def test_a_model_type_without_a_bridge():
    with pytest.raises(ValueError, match="model_type 'mistral'; rehearsed are llama, qwen2, qwen3"):
        require_rehearsable(Settings(), find_architecture("Mistral-7B-v0.3"), 0)


def test_rows_fill_a_micro_batch():
    assert row_lengths(Settings(token_limit=10000, prompt=1000, response=3000, cp=2)) == [4000] * 5
    # verl pads a row to a multiple of TP x CP x 2.
    assert row_lengths(Settings(token_limit=10002, prompt=1000, response=3000, cp=2, tp=4)) == [3328] * 6
    assert micro_batches(Settings(pp=2, vpp=2)) == 4
