"""Packaging of verl-medu1. Static metadata and tool settings are in pyproject.toml."""

from setuptools import find_packages, setup

# Recipes and Slurm files live at the top level, where users look for them, and are installed inside
# the package, so that `medu1` finds them from any folder.
setup(
    packages=[
        *find_packages(include=["verl_medu1", "verl_medu1.*", "reward_score", "reward_score.*"]),
        "verl_medu1.recipes",
        "verl_medu1.slurm",
    ],
    package_dir={"verl_medu1.recipes": "recipes", "verl_medu1.slurm": "slurm"},
    package_data={
        "verl_medu1": ["evaluate/lm_eval_tasks/*", "**/*.yaml", "**/*.j2", "**/*.css", "**/*.txt", "py.typed"],
        "verl_medu1.recipes": ["**/*.yaml", "**/*.md", "**/*.txt"],
        "verl_medu1.slurm": ["**/*"],
        "reward_score": ["py.typed", "*.csv"],
    },
)
