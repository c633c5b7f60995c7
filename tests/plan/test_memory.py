"""Memory against figures worked out by hand, and what must hold for all settings."""

from dataclasses import replace

import pytest

from verl_medu1.machine.gpus import GIB, find_gpu
from verl_medu1.plan.activations import in_flight, layer_bytes, peaks, stage_bytes
from verl_medu1.plan.architecture import find_architecture
from verl_medu1.plan.assumptions import assumptions
from verl_medu1.plan.communication import communication_of
from verl_medu1.plan.memory import PHASES, gather_bytes, optimizer_bytes, weight_bytes
from verl_medu1.plan.parameters import Parts, rank_parameters, total_parameters
from verl_medu1.plan.rollout import rollout_of, rollout_weights, token_bytes
from verl_medu1.plan.settings import Settings
from verl_medu1.plan.verdict import build, plan_of, verdict_of

SEVEN = find_architecture("Qwen2.5-7B-Instruct")  # h 3584, 28 heads of 128, 4 groups, f 18944
EIGHT = find_architecture("Qwen3-8B")  # h 4096, 32 heads of 128, 8 groups, f 12288, query-key norms
SEVENTY = find_architecture("Qwen2.5-72B-Instruct")
H100 = find_gpu("h100-80")
SELECTIVE = {"recompute": "selective"}
FUSED = {"activation_fusion": True, "rope_fusion": True}
FULL = {"recompute": "full", "recompute_method": "uniform", "recompute_layers": 1}


@pytest.mark.parametrize(
    ("model", "settings", "expected"),
    [
        # Norms' inputs and outputs 4 h x 2; qkv (28 + 8) x 128 x 2; query and key (28 + 4) x 128 x 2;
        # output 28 x 128 x 2; sums 28 x 4; MLP 3 f x 2.
        (SEVEN, FUSED, 28_672 + 9_216 + 8_192 + 7_168 + 112 + 113_664),
        (SEVEN, {**FUSED, "tp": 4}, (28_672 + 9_216 + 8_192 + 7_168 + 112 + 113_664) / 4),
        # Scores of 6144 tokens, twice, instead of sums.
        (SEVEN, {**FUSED, "attention": "unfused", "prompt": 2048}, 28_672 + 9_216 + 8_192 + 7_168 + 688_128 + 113_664),
        (
            SEVEN,
            {**FUSED, **SELECTIVE, "attention": "unfused"},
            28_672 + 9_216 + 8_192 + 7_168 + 113_664,
        ),
        # Without sequence parallelism each rank keeps the norms' inputs and outputs of all tokens.
        (SEVEN, {**FUSED, "tp": 4, "sequence_parallel": False}, 28_672 + (9_216 + 8_192 + 7_168 + 112 + 113_664) / 4),
        # Sines and cosines 4 x 128 x 2, MLP 5 f x 2.
        (SEVEN, {}, 28_672 + 9_216 + 8_192 + 1_024 + 7_168 + 112 + 189_440),
        # The query is kept once more, before its norm: 32 x 128 x 2.
        (EIGHT, FUSED, 32_768 + 12_288 + 10_240 + 8_192 + 8_192 + 128 + 73_728),
        # More ranks than groups: each still has a group.
        (replace(SEVEN, groups=2), {**FUSED, "tp": 4}, 7_168 + (14 + 3 + 7) * 256 + 28 + 28_416),
        (SEVEN, {**FUSED, **SELECTIVE, "recompute_modules": ["core_attn"]}, 28_672 + 9_216 + 8_192 + 7_168 + 113_664),
        (SEVEN, {**FUSED, **SELECTIVE, "recompute_modules": ["layernorm"]}, 14_336 + 24_576 + 112 + 113_664),
        (SEVEN, {**FUSED, **SELECTIVE, "recompute_modules": ["mlp"]}, 28_672 + 24_576 + 112),
        (SEVEN, {**FUSED, **SELECTIVE, "recompute_modules": ["layernorm", "mlp"]}, 21_504 + 24_576 + 112),
        # One byte for the matrices' inputs: norms' outputs, SwiGLU's, and attention's once more.
        (SEVEN, {**FUSED, "fp8": "hybrid"}, 14_336 + 7_168 + 24_576 + 3_584 + 112 + 94_720),
    ],
)
def test_bytes_of_a_layer(model, settings, expected):
    assert layer_bytes(model, Settings(**settings)) == expected


def test_full_recomputation_keeps_entries_and_one_unit():
    whole = layer_bytes(SEVEN, Settings())
    assert stage_bytes(SEVEN, Settings(**FULL), 28) == (28 * 7_168, whole)
    assert stage_bytes(SEVEN, Settings(**{**FULL, "recompute_layers": 4}), 28) == (7 * 7_168, 4 * whole)
    block = {**FULL, "recompute_method": "block", "recompute_layers": 20}
    assert stage_bytes(SEVEN, Settings(**block), 28) == (20 * 7_168 + 8 * whole, whole)


@pytest.mark.parametrize(
    ("model", "settings", "stages", "rehearsed"),
    [
        # MiB at the peak of megatron-core's own layers on tensors without memory, beside logits; `medu1 rehearse`.
        # A first stage of two layers, four micro-batches in flight: wide gathered tensors.
        ("Llama-3.1-70B-Instruct", {"tp": 8, "pp": 4, "gpus_per_node": 32}, [2, 2, 2, 2], 1353),
        # Wide SwiGLU, two in flight.
        ("Qwen2.5-7B-Instruct", {"tp": 2, "pp": 2}, [2, 2], 2176),
        # No tensor parallelism: nothing is gathered.
        ("Qwen2.5-7B-Instruct", {"pp": 2}, [2, 2], 4169),
        ("Qwen2.5-32B-Instruct", {"tp": 4, "pp": 2}, [2, 2], 1673),
    ],
)
def test_the_backward_pass_of_a_layer_against_rehearsed_ranks(model, settings, stages, rehearsed):
    sized = Settings(prompt=2048, response=4096, token_limit=12288, **settings, **FULL)
    activations, logits = peaks(find_architecture(model), sized, stages)[0].parts
    assert (activations / 2**20, logits) == (pytest.approx(rehearsed, rel=0.01), 0)


def test_the_peak_is_where_the_logits_are_or_later():
    settings = Settings(tp=8, pp=4, gpus_per_node=32, token_limit=12288, **FULL)
    model = find_architecture("Llama-3.1-70B-Instruct")
    last = peaks(model, settings, [20, 20, 20, 20])[-1]
    # Inputs of the layers and of norm and output layer, h / t x 2 bytes each; the output layer's input, gathered.
    assert last.parts == (12288 * 2 * (20 * 1024 + 2 * 1024 + 8192), 12288 * 8 * 128256 / 8)
    without = peaks(model, replace(settings, fused_logits=True), [20, 20, 20, 20])[-1]
    assert without.parts == (without.kept + without.layer, 0)


def test_without_sequence_parallelism_a_rank_keeps_all_tokens_between_the_matrices():
    """GiB of activations and logits that `medu1 rehearse` finds in true ranks, one stage, and the first of four."""
    settings = Settings(tp=2, prompt=2048, response=4096, token_limit=12288, sequence_parallel=False, **FULL)
    assert sum(peaks(SEVEN, settings, [28])[0].parts) / GIB == pytest.approx(2.46 + 6.96, abs=0.01)
    llama, pipeline = find_architecture("Llama-3.1-70B-Instruct"), replace(settings, tp=8, pp=4, gpus_per_node=32)
    assert sum(peaks(llama, pipeline, [20, 20, 20, 20])[0].parts) / GIB == pytest.approx(16.63, abs=0.05)


@pytest.mark.parametrize("pp", [1, 2, 4, 8])
@pytest.mark.parametrize("vpp", [None, 2, 4])
def test_micro_batches_in_flight(pp, vpp):
    counts = [in_flight(stage, pp, vpp) for stage in range(pp)]
    assert counts == sorted(counts, reverse=True) and counts[-1] >= 1
    if vpp and pp > 1:
        # The paper's factor for the first stage: 1 + (p - 1) / (p v), times p stages' worth (arXiv 2205.05198).
        assert counts[0] == pytest.approx(pp * (1 + (pp - 1) / (pp * vpp)))
    assert in_flight(0, pp, vpp, micro_batches=1) == 1


@pytest.mark.parametrize(
    ("settings", "each"),
    [
        ({"distributed_optimizer": False}, 12),
        ({}, 12 / 8),
        ({"tp": 4}, 12 / 2),
        ({"cp": 2}, 12 / 8),
        ({"dtype": "float32", "gpus_per_node": 1}, 8),
        ({"gpus_per_node": 1, "precision_aware": True, "exp_avg_dtype": "bf16", "exp_avg_sq_dtype": "bf16"}, 6),
        ({"gpus_per_node": 1, "precision_aware": True, "optimizer_fp8_recipe": "blockwise"}, 12),
    ],
)
def test_bytes_of_the_optimizer(settings, each):
    assert optimizer_bytes(1000, Settings(**settings)) == 1000 * each


def test_weights_of_the_rollout_are_those_of_the_model():
    # 152064 and 128256 rows are multiples of 64, so that nothing is padded.
    for name in ("Qwen2.5-7B-Instruct", "Qwen2.5-3B-Instruct", "Llama-3.1-70B-Instruct"):
        model = find_architecture(name)
        assert rollout_weights(model, Settings()) == 2 * total_parameters(model)
        halves = rollout_weights(model, Settings(rollout_tp=2))
        assert 0.5 <= halves / rollout_weights(model, Settings()) < 0.501
    # Four groups on 28 ranks: each has one of its own.
    assert token_bytes(SEVEN, Settings(rollout_tp=4)) == token_bytes(SEVEN, Settings(rollout_tp=28)) == 2 * 28 * 128 * 2
    assert token_bytes(SEVEN, Settings(kv_dtype="fp8")) == token_bytes(SEVEN, Settings()) / 2


def test_the_cache_is_what_the_share_leaves():
    settings = Settings(utilization=0.6)
    found = rollout_of(SEVEN, settings, H100.memory)
    assert found.weights + found.work + found.cache == pytest.approx(0.6 * H100.memory)
    assert found.tokens == int(found.cache / token_bytes(SEVEN, settings))
    assert rollout_of(SEVENTY, settings, H100.memory).tokens == 0  # 145 GB of weights


def test_phases_and_offload():
    parts = rank_parameters(SEVEN, 4, [28])[0]
    kept = build(SEVEN, H100, Settings(tp=4, param_offload=False, optimizer_offload=False)).ranks[0].phases
    freed = build(SEVEN, H100, Settings(tp=4)).ranks[0].phases
    assert kept["training"] == freed["training"]
    assert freed["generation"]["weights"] == freed["generation"]["optimizer"] == 0
    assert kept["generation"]["weights"] == 2 * parts.total
    assert kept["generation"]["gradients"] == 4 * parts.total
    assert freed["weight sync"]["weights"] == 2 * parts.total  # they come back for it
    assert freed["weight sync"]["gathering"] == gather_bytes(SEVEN, Settings()) == 2 * 2**30 + 4 * 152064 * 3584
    assert all(phase["reserve"] == assumptions().reserve for phase in kept.values())


def test_fp8_keeps_copies_of_the_matrices():
    parts = Parts(linear=1000, small=10, embedding=100, output=100)
    assert weight_bytes(parts, Settings(fp8="e4m3")) - weight_bytes(parts, Settings()) == 2000


def test_the_last_stage_has_the_logits():
    settings = Settings(pp=4, token_limit=8192, response=4096)
    logits = [peak.logits for peak in peaks(SEVEN, settings, [7, 7, 7, 7])]
    assert logits == [0, 0, 0, 8192 * 8 * 152064]
    assert peaks(SEVEN, replace(settings, entropy_coefficient=0.1), [7] * 4)[-1].logits == 8192 * 16 * 152064
    assert peaks(SEVEN, replace(settings, fused_logits=True), [7] * 4)[-1].logits == 0


def test_more_of_a_split_needs_less():
    def most(**changes):
        return max(rank.total("training") for rank in build(SEVEN, H100, Settings(nodes=4, **changes)).ranks)

    assert most(tp=4) < most(tp=2) < most()
    assert most(pp=2, **FULL) < most(**FULL)
    assert most(**FULL) < most(recompute="selective", recompute_modules=["mlp", "layernorm"]) < most()


def test_communication_by_hand():
    settings = Settings(tp=2, pp=2, train_batch=64, mini_batch=32, n=8, prompt=1024, response=1024, bypass=True)
    parts = rank_parameters(SEVEN, 2, [14, 14])[0]
    found = communication_of(SEVEN, settings, parts, 14)
    tokens = 64 * 8 * 2048 / 2
    assert found.tensor == tokens * 14 * 3584 * 2 * (1 / 2) * 10
    assert found.pipeline == 2 * tokens * 3584 * 2 / 2 * 2
    assert found.context == 0
    assert found.data == 2 * parts.total * 6 / 2
    assert found.weight_sync == 2 * 7_615_616_512
    # All-reduces of the outputs and of the inputs' gradients, each of which is two gathers; stages send all tokens.
    whole = communication_of(SEVEN, replace(settings, sequence_parallel=False), parts, 14)
    assert (whole.tensor, whole.pipeline) == (found.tensor * 8 / 10, found.pipeline * 2)


def test_gradients_are_exchanged_in_their_own_format():
    def data(**changes):
        return communication_of(SEVEN, Settings(train_batch=64, mini_batch=64, **changes), Parts(800, 0, 0, 0), 28).data

    low = {"precision_aware": True, "main_grads_dtype": "bf16"}
    assert data() == 800 * (4 + 2) * 7 / 8
    assert data(**low) == 800 * (2 + 2) * 7 / 8
    assert data(main_grads_dtype="bf16") == data()  # without the precision-aware optimizer the key does nothing
    assert data(distributed_optimizer=False) == 800 * 8 * 7 / 8


def test_the_verdict_says_what_to_change():
    fits = plan_of(SEVEN, H100, Settings(tp=4, **FULL))
    assert verdict_of(fits).word == "fits" and not verdict_of(fits).changes
    tight = plan_of(SEVENTY, H100, Settings(nodes=8, tp=8, pp=2, rollout_tp=8, token_limit=32768))
    verdict = verdict_of(tight)
    assert verdict.word == "fits with these changes" and verdict.changed.problems == []
    assert any("training needs" in problem for problem in verdict.problems)
    hopeless = plan_of(SEVENTY, H100, Settings(tp=8, rollout_tp=8))
    assert verdict_of(hopeless).word == "does not fit"


def test_a_cache_without_room_gets_a_larger_share():
    plan = plan_of(
        find_architecture("Qwen2.5-32B-Instruct"), H100, Settings(tp=8, utilization=0.2, rollout_tp=2, **FULL)
    )
    assert any("vLLM's cache holds 0 tokens" in problem for problem in plan.problems)
    assert verdict_of(plan).changes["actor_rollout_ref.rollout.gpu_memory_utilization"] > 0.4


def test_changes_that_are_not_needed_are_taken_back():
    verdict = verdict_of(plan_of(SEVEN, H100, Settings(param_offload=False, optimizer_offload=False, utilization=0.85)))
    changed = verdict.changed
    assert changed is not None
    for key, value in verdict.changes.items():
        assert value is not None, key
    assert all(rank.total(phase) <= H100.memory for rank in changed.ranks for phase in PHASES)


def test_figures_of_the_gpus():
    assert find_gpu("h200-141").memory == round(139.7 * GIB)
    with pytest.raises(ValueError, match="--gpu is 'h100'; choose one of h100-80, h200-141, a100-80, l40s-48"):
        find_gpu("h100")
