"""Says what is wrong with the arguments of `medu1 train` and `medu1 sft`, in one sentence instead of Hydra's output."""

import re
from collections.abc import Sequence
from pathlib import Path

from verl_medu1.config.compose import compose_config, composition_in_a_sentence, require_choices
from verl_medu1.config.keys import has_key
from verl_medu1.config.recipes import SFT, TRAIN, recipe_names
from verl_medu1.verl_compat.config_folder import folder

# With any of these Hydra prints something and starts nothing, or reads configurations that are not ours.
HYDRAS_OWN = re.compile(
    r"(--help|-h|--hydra-help|--version|--cfg|-c|--info|-i|--shell-completion|-sc"
    r"|--config-(path|name|dir)|-cp|-cn|-cd)(=.*)?"
)

# A run without a recipe needs at least these.
WITHOUT_RECIPE = {
    TRAIN: ("data.train_files", "actor_rollout_ref.model.path"),
    SFT: ("data.train_files", "model.path"),
}


def require_arguments(arguments: Sequence[str], stage: str) -> None:
    """Raise a ValueError if neither a recipe nor data and a model are given, or if a name does not exist.

    Whatever Hydra accepts passes. If a name may be wrong, the configuration is composed to find out, which takes about
    a second. Where Hydra only prints, it says itself what is wrong; only a group that is null is refused here, which it
    answers with a traceback.

    Args:
        arguments: of the command.
        stage: TRAIN or SFT of `verl_medu1.config.recipes`.
    """
    require_choices(arguments)
    if any(HYDRAS_OWN.fullmatch(argument) for argument in arguments):
        return
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    keys = {override.partition("=")[0] for override in overrides}
    if "recipe" not in keys and not keys.issuperset(WITHOUT_RECIPE[stage]):
        raise ValueError(
            f"no recipe is given; add recipe=NAME, such as {_examples(stage)} (docs/recipes.md has them all), or "
            f"{' and '.join(WITHOUT_RECIPE[stage])}."
        )
    from hydra.core.override_parser.overrides_parser import OverridesParser

    with composition_in_a_sentence(stage):
        OverridesParser.create().parse_overrides(overrides)
    if not all(_is_sure(override, stage) for override in overrides):
        compose_config(overrides, stage)


def _examples(stage: str) -> str:
    """Name a few recipes, the quickstart and other small ones first."""
    names = sorted(recipe_names(stage), key=lambda name: (name != "quickstart", "cpu" not in name))
    return ", ".join(names[:4])


def _is_sure(override: str, stage: str) -> bool:
    """Return whether Hydra surely accepts an override. The value of a group is checked, that of a key is not."""
    key, _, value = override.partition("=")
    if key == "recipe":
        return value in recipe_names(stage)
    if key[:1] in ("+", "~") or has_key(key, stage):
        return True
    ours = Path(__file__).parent
    return any((place / key / f"{value}.yaml").is_file() for place in (ours, Path(folder())))
