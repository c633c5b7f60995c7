"""Models that see: parameters as transformers counts them, tokens of an image as processors make them, and bytes."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from verl_medu1.machine.gpus import find_gpu
from verl_medu1.plan.adapters import tower_targets, trained_parameters
from verl_medu1.plan.architecture import NotPlanned, architecture_of, find_architecture, hugging_face_config
from verl_medu1.plan.fsdp import optimizer_bytes, rank_parts, weight_bytes
from verl_medu1.plan.fsdp_tower import has_backward, patches, row_tokens, tower_of
from verl_medu1.plan.parameters import total_parameters
from verl_medu1.plan.rollout import encoder_bytes, rollout_of, rollout_weights
from verl_medu1.plan.rules.layout import find_violations
from verl_medu1.plan.search import search
from verl_medu1.plan.settings import KEYS, Settings
from verl_medu1.plan.verdict import build, plan_of, verdict_of
from verl_medu1.plan.vision import VISION_TYPES, image_tokens, most_tokens, tower_matrices, tower_parameters

NAMES = ("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen3-VL-8B-Instruct")
THREE, SEVEN, EIGHT = map(find_architecture, NAMES)
H100 = find_gpu("h100-80")
RUN = Settings(
    strategy="fsdp2",
    prompt=2048,
    dynamic=False,
    micro_batch=2,
    attn_implementation="sdpa",
    packed=False,
    fsdp_param_offload=True,
    fsdp_optimizer_offload=True,
)
FROZEN = replace(RUN, peft_rank=8, peft_excluded=".*visual.*")


def made(model):
    """The model as transformers builds it, on torch's meta device."""
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(hugging_face_config(model))


@pytest.mark.parametrize("name", NAMES)
def test_each_part_has_as_many_parameters_as_in_transformers(name):
    model = find_architecture(name)
    parameters = {key: parameter.numel() for key, parameter in made(model).named_parameters()}
    of_tower = sum(number for key, number in parameters.items() if key.startswith("model.visual."))
    assert of_tower == tower_parameters(model.vision)
    assert sum(parameters.values()) == total_parameters(model)
    mergers = ("model.visual.merger", "model.visual.deepstack_merger_list")
    without = replace(model.vision, layers=0)
    assert sum(number for key, number in parameters.items() if key.startswith(mergers)) == tower_parameters(
        without
    ) - sum(number for key, number in parameters.items() if re.match(r"model\.visual\.(patch|pos)_embed", key))


@pytest.mark.parametrize("name", NAMES)
def test_the_matrices_are_those_of_transformers(name):
    from torch.nn import Linear

    model = find_architecture(name)
    found = {
        key: (module.in_features, module.out_features)
        for key, module in made(model).named_modules()
        if isinstance(module, Linear) and ".visual." in key
    }
    assert found == tower_matrices(model.vision)


@pytest.mark.parametrize("model", [SEVEN, EIGHT], ids=lambda model: model.name)
@given(width=st.integers(30, 3000), height=st.integers(30, 3000))
def test_an_image_has_as_many_tokens_as_the_processor_gives(model, width, height):
    from transformers import Qwen2VLImageProcessor

    vision = model.vision
    processor = Qwen2VLImageProcessor(
        patch_size=vision.patch,
        merge_size=vision.merge,
        size={"shortest_edge": vision.least_pixels, "longest_edge": vision.most_pixels},
    )
    given_patches = processor.get_number_of_image_patches(height, width, {})
    assert image_tokens(vision, width, height) * vision.merge**2 == given_patches


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [(SEVEN, (672, 672), 576), (SEVEN, (10, 10), 4), (SEVEN, (8000, 8000), 16384), (EIGHT, (672, 672), 441),
     (EIGHT, (40, 40), 64), (EIGHT, (1344, 672), 882)],
)  # fmt: skip
def test_tokens_by_hand(model, size, tokens):
    assert image_tokens(model.vision, *size) == tokens <= most_tokens(model.vision)


def test_pixel_values_of_real_pictures_have_as_many_patches():
    from PIL import Image
    from transformers import Qwen2VLImageProcessor

    processor = Qwen2VLImageProcessor(size={"shortest_edge": 3136, "longest_edge": 12845056})
    for size in ((56, 56), (100, 333), (672, 500)):
        seen = processor(images=[Image.new("RGB", size)], return_tensors="pt")
        assert seen["pixel_values"].shape == (4 * image_tokens(SEVEN.vision, *size), SEVEN.vision.pixel_values)


def test_the_small_model_is_read_from_its_folder(tmp_path):
    from verl_medu1.models.tiny_vl import write_tiny_vl_model

    number = write_tiny_vl_model(["Which side? <answer>A</answer>"] * 9, tmp_path)
    model = find_architecture(str(tmp_path))
    assert total_parameters(model) == number and model.tied
    assert (model.vision.least_pixels, model.vision.most_pixels) == (4 * 28**2, 64 * 28**2)
    assert [image_tokens(model.vision, side, side) for side in (28, 56, 672)] == [4, 4, 64]


def test_transformers_keeps_a_frozen_tower_in_the_backward_pass_of_qwen2_5_alone():
    """What `has_backward` says of it: peft asks for inputs with gradients."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    for model in (SEVEN, EIGHT):
        vision = replace(
            model.vision, layers=1, hidden=64, ffn=64, heads=4, output=64, deepstack=model.vision.deepstack and (0,)
        )
        small = replace(
            model, layers=1, hidden=64, heads=4, groups=2, head_dim=16, ffn=64, vocabulary=64, vision=vision
        )
        rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
        network = AutoModelForImageTextToText.from_config(hugging_face_config(small, rope_parameters=rope))
        network.enable_input_require_grads()
        lora = LoraConfig(r=2, target_modules="all-linear", exclude_modules=FROZEN.peft_excluded)
        adapted = get_peft_model(network, lora)
        trained = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
        assert trained and not any("visual" in name for name in trained)
        seen = network.model.visual(torch.randn(16, vision.pixel_values), grid_thw=torch.tensor([[1, 4, 4]]))
        assert seen.pooler_output.requires_grad == has_backward(small, FROZEN)


def test_names_of_target_modules_may_mean_the_tower_too():
    named = replace(RUN, peft_rank=8, peft_targets=["q_proj", "gate_proj", "up_proj", "down_proj"])
    # Its attention has qkv and proj; its feed-forward layer is named like the language model's.
    assert len(tower_targets(SEVEN, named)) == 3 * 32 and not tower_targets(EIGHT, named)
    assert not tower_targets(SEVEN, replace(named, peft_excluded=".*visual.*"))
    everywhere = replace(RUN, peft_rank=8)
    more = trained_parameters(SEVEN, everywhere) - trained_parameters(SEVEN, FROZEN)
    assert more == 8 * sum(map(sum, tower_matrices(SEVEN.vision).values()))


def test_adapters_alone_have_a_tenth_of_the_optimizer():
    whole, adapters = (rank_parts(SEVEN, settings) for settings in (RUN, FROZEN))
    assert whole.vision == adapters.vision and adapters.adapters
    assert optimizer_bytes(adapters, FROZEN) < optimizer_bytes(whole, RUN) / 10
    assert weight_bytes(whole, RUN) == 4 * whole.total


def test_a_frozen_tower_without_backward_keeps_the_pixels_alone():
    for model, keeps in ((SEVEN, True), (EIGHT, False)):
        trained, frozen = tower_of(model, RUN), tower_of(model, FROZEN)
        assert (frozen.kept > frozen.given) == keeps and frozen.kept < trained.kept
        assert frozen.given == trained.given == patches(model, RUN) * model.vision.pixel_values * 4
        assert (frozen.root_gradient, frozen.block_gradient) == (0, 0) < (trained.root_gradient, trained.block_gradient)
        assert frozen.root == trained.root


def test_more_and_larger_images_need_more():
    def training(**changes):
        [rank] = build(SEVEN, H100, replace(RUN, gradient_checkpointing=False, micro_batch=1, **changes)).ranks
        return rank.total("training")

    assert training() < training(images=2) < training(images=2, image_side=700)
    assert row_tokens(SEVEN, replace(RUN, images=3)) == 3 * 576
    # Packed rows could be images alone.
    packed = replace(RUN, dynamic=True, token_limit=6144)
    assert patches(SEVEN, packed) == 6144 // 576 * 576 * 4


def test_vllm_reserves_its_tower_for_the_largest_image():
    language = replace(SEVEN, vision=None)
    assert rollout_weights(SEVEN, RUN) - rollout_weights(language, RUN) == 2 * tower_parameters(SEVEN.vision)
    passing, kept = encoder_bytes(SEVEN, RUN)
    assert passing == 4 * 16384 * 2 * (1176 + 2 * 1280 + 3 * 3420) and kept == 16384 * 3584 * 2
    assert encoder_bytes(EIGHT, RUN)[1] == 16384 * 4 * 4096 * 2  # with three deepstack blocks
    assert encoder_bytes(SEVEN, replace(RUN, max_num_batched_tokens=40000))[0] == 2 * passing
    assert rollout_of(SEVEN, RUN, H100.memory).tokens < rollout_of(language, RUN, H100.memory).tokens


@pytest.mark.parametrize("model", [THREE, SEVEN, EIGHT], ids=lambda model: model.name)
def test_it_fits_eight_h100(model):
    assert plan_of(model, H100, RUN).problems == []


@pytest.mark.parametrize(
    ("model", "changes", "sentence"),
    [
        (SEVEN, {"images": 4}, "images.per_row is 4, and so many images of 672 x 672 pixels (images.side) are 2304"),
        (EIGHT, {"images": 5}, "are 2205 tokens (441 each), which leaves no room in a prompt of 2048"),
        (SEVEN, {"packed": True}, "use_remove_padding is True, for which verl calls flash-attn"),
        (SEVEN, {"packed": True, "attn_implementation": "flash_attention_2"}, None),
        (SEVEN, {"dynamic": True}, "use_dynamic_bsz is True, and actor_rollout_ref.model.use_remove_padding is False"),
        (SEVEN, {"freeze_tower": True}, "freeze_vision_tower is True, which verl 0.9.1 does not read"),
        (SEVEN, {"rollout_tp": 8}, "does not divide the model's 28 attention heads"),
        (THREE, {"rollout_tp": 8}, "does not divide the model's 3420 columns of the feed-forward layer that sees"),
        (SEVEN, {"image_side": 0}, "images.side is 0; give a whole number of at least 1"),
        (SEVEN, {"peft_rank": 8, "peft_excluded": "("}, "exclude_modules is '(', which is no pattern"),
    ],
)
def test_each_violation_has_its_sentence(model, changes, sentence):
    found = [problem.sentence for problem in find_violations(replace(RUN, **changes), model)]
    assert any(sentence in one for one in found) if sentence else found == []


def test_what_is_not_planned_says_why():
    for ask in (plan_of, search):
        with pytest.raises(NotPlanned, match=r"planned for its training with FSDP2 alone \(model_engine=dp\)"):
            ask(SEVEN, H100, Settings())
    left_out = replace(RUN, peft_rank=8, peft_excluded=r".*\.q_proj")
    with pytest.raises(NotPlanned, match=f"{KEYS['peft_excluded']} is .*, which leaves out layers of the language"):
        plan_of(SEVEN, H100, left_out)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"vision_config": None}, "lacks 'vision_config' in its config.json"),
        ({"vision_config": {"depth": 2}}, "lacks 'hidden_size' in the vision_config"),
        ({"vision_config": {"depth": "many"}}, "has depth 'many' in the vision_config"),
    ],
)
def test_broken_dimensions_are_refused(change, sentence):
    config = {**hugging_face_config(SEVEN).to_dict(), **change}
    with pytest.raises(ValueError, match=re.escape(sentence)):
        architecture_of("x", config)


SEEN = {key: value for key, value in hugging_face_config(EIGHT).vision_config.to_dict().items() if key != "dtype"}
JUNK = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    model_type=st.sampled_from(sorted(VISION_TYPES)),
    changes=st.dictionaries(st.sampled_from(sorted(SEEN)), JUNK | st.integers(1, 4096), max_size=3),
    pixels=st.fixed_dictionaries({}, optional={"size": JUNK, "min_pixels": JUNK, "max_pixels": JUNK}),
    tied=JUNK,
)
def test_any_tower_ends_in_a_plan_or_in_one_sentence(model_type, changes, pixels, tied):
    text = hugging_face_config(EIGHT).text_config.to_dict()
    config = {
        "model_type": model_type,
        "text_config": text,
        "vision_config": SEEN | changes,
        "tie_word_embeddings": tied,
    }
    try:
        verdict_of(plan_of(architecture_of("x", config | {"preprocessor_config": pixels}), H100, RUN))
    except ValueError as error:
        for sentence in str(error).split("\nmedu1: "):
            assert "\n" not in sentence and sentence.endswith(".")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("preprocessor_config.json", "[]"),
        ("processor_config.json", '{"image_processor": 3}'),
        ("processor_config.json", "{"),
    ],
)
def test_a_broken_processor_is_refused(file, content, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(hugging_face_config(SEVEN).to_dict()))
    assert find_architecture(str(tmp_path)).vision.most_pixels == 28 * 28 * 1280  # without a file, transformers' own
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=file):
        find_architecture(str(tmp_path))
