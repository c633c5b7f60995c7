"""Job files as they are kept in tests/cluster/renders: every recipe at one site, and one recipe everywhere.

`python -m tests.cluster.renders` writes them again; look at the difference before you commit it.
"""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from verl_medu1.cluster.job import Job, job_of, render
from verl_medu1.cluster.site import CONTAINERS, DEFAULT, example_sites, read_site
from verl_medu1.config.compose import compose_config, settings_in
from verl_medu1.config.recipes import recipe_names

FOLDER = Path(__file__).parent / "renders"
SITES = [file for file in sorted(example_sites().glob("*.yaml")) if file.name != DEFAULT]
# Every recipe is kept for this site and container, and this recipe for every site and container.
SITE, CONTAINER, RECIPE = "gres-infiniband", "apptainer", "qwen2.5-7b-1x8h100-tp2-pp1"
# Where the user of these job files is.
CHECKOUT = Path("/home/user/verl-medu1")


def jobs_of(recipe: str) -> Iterator[tuple[str, Job]]:
    """The jobs of a recipe, each with its file's name below FOLDER."""
    overrides = [f"recipe={recipe}"]
    config = compose_config(overrides)
    settings = settings_in(config)
    for file in SITES:
        site = read_site(file)
        for container in CONTAINERS:
            if recipe != RECIPE and (file.stem, container) != (SITE, CONTAINER):
                continue
            job = job_of(
                config,
                settings,
                overrides,
                site.model_copy(update={"container": container}),
                folder=CHECKOUT,
                python=str(CHECKOUT / ".venv/bin/python"),
                slurm_dir=CHECKOUT / "slurm",
            )
            yield f"{file.stem}/{container}/{recipe}.sbatch", job


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    for recipe in recipe_names():
        for name, job in jobs_of(recipe):
            (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
            (FOLDER / name).write_text(render(job))


if __name__ == "__main__":
    main()
