"""What a recipe asks of a site, and that nothing a user writes leaves its place in the job file."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.cluster.job import job_of, render
from verl_medu1.cluster.site import example_sites, read_site
from verl_medu1.config.compose import compose_config, settings_in

SITE = read_site(example_sites() / "gres-infiniband.yaml")
SEVEN = "recipe=qwen2.5-7b-1x8h100-tp2-pp1"


def changed(**values):
    return SITE.model_copy(update=values)


@pytest.fixture(scope="module")
def job_from():
    """Makes the job of overrides, each composed once."""
    composed = {}

    def make(*overrides, site=SITE, **others):
        if overrides not in composed:
            config = compose_config(overrides)
            composed[overrides] = config, settings_in(config)
        return job_of(*composed[overrides], overrides, site, **others)

    return make


def options(job) -> dict[str, str]:
    return dict(option.removeprefix("--").split("=", 1) if "=" in option else (option, "") for option in job.options)


def test_a_whole_node(job_from):
    found = options(job_from(SEVEN))
    assert (found["nodes"], found["cpus-per-task"], found["gres"]) == ("1", "96", "gpu:h100:8")
    assert (found["mem"], found["time"], found["signal"]) == ("960G", "12:00:00", "B:USR1@900")


def test_half_of_a_node_gets_half_of_it(job_from):
    found = options(job_from(SEVEN, "trainer.n_gpus_per_node=4", "trainer.nnodes=2"))
    assert (found["nodes"], found["cpus-per-task"], found["gres"], found["mem"]) == ("2", "48", "gpu:h100:4", "480G")


def test_all_memory_of_a_whole_node_only(job_from):
    site = changed(memory_gib_per_node=None)
    assert options(job_from(SEVEN, site=site))["mem"] == "0"
    assert "mem" not in options(job_from(SEVEN, "trainer.n_gpus_per_node=4", "trainer.nnodes=2", site=site))


@pytest.mark.parametrize(("recipe", "cpus"), [("quickstart", "2"), ("smollm2-135m-cpu", "2")])
def test_without_gpus_a_job_has_a_cpu_for_each_thread(job_from, recipe, cpus):
    found = options(job_from(f"recipe={recipe}", site=changed(gpu=None)))
    assert found["cpus-per-task"] == cpus and "gres" not in found


def test_no_requeue_where_none_is_allowed(job_from):
    assert "--no-requeue" in job_from(SEVEN, site=changed(max_requeues=0)).options


def test_time_and_run_dir_are_the_users(job_from, tmp_path):
    job = job_from(SEVEN, "run_dir=runs/a", time="90", folder=tmp_path)
    assert job.run_dir == tmp_path / "runs/a" and job.arguments == (SEVEN,)
    assert options(job)["time"] == "90" and options(job)["output"] == f"{tmp_path}/runs/a/slurm-%j.out"


@pytest.mark.parametrize(
    ("overrides", "others", "sentence"),
    [
        (["trainer.nnodes=2"], {}, "no recipe is given: add recipe=NAME"),
        ([SEVEN, "trainer.n_gpus_per_node=16"], {}, "n_gpus_per_node is 16, and the site's gpus_per_node is 8; lower"),
        ([SEVEN], {"site": changed(gpu=None)}, "trainer.device is 'cuda', and the site's gpu is null"),
        (["recipe=quickstart"], {"site": changed(cpus_per_node=1)}, "n_gpus_per_node is 2, with 2 threads"),
        ([SEVEN], {"time": "soon"}, "--time is 'soon'; give D-HH:MM:SS, HH:MM:SS or minutes."),
        ([SEVEN], {"time": "10"}, "--time is '10', and the site's signal_s is 900; give more time"),
        ([SEVEN, "run_dir='/a:b'"], {}, "run_dir is '/a:b', which has a quote, a backslash or one of $ , : %; choose"),
        ([SEVEN, "run_dir=/a%j"], {}, "run_dir is '/a%j', which has a quote, a backslash or one of $ , : %; choose"),
        ([SEVEN, "trainer.experiment_name='a\nb'"], {}, "has a line break; leave it out."),
    ],
)
def test_each_mistake_has_its_sentence(job_from, overrides, others, sentence):
    with pytest.raises(ValueError) as raised:
        job_from(*overrides, **others)
    assert sentence in str(raised.value)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)


@given(value=TEXT, override=TEXT)
def test_bash_gets_every_value_as_it_was_written(job_from, tmp_path_factory, value, override):
    folder = tmp_path_factory.mktemp("job")
    (folder / "job.sh").write_text('printf "%s\\0" "$NAME" "$@"\n')
    site = changed(environment={"NAME": value})
    job = replace(job_from(SEVEN, site=site, slurm_dir=folder), arguments=(override,))
    script = folder / "job.sbatch"
    script.write_text(render(job))
    done = subprocess.run(["bash", script], capture_output=True, check=True)
    assert done.stdout.decode() == f"{value}\0{override}\0"
    # One #SBATCH line for each option: nothing has added one, as long as it begins a line.
    lines = [line for line in render(job).splitlines() if line.startswith("#SBATCH")]
    assert len(lines) == len(job.options)


def test_what_ships_is_found_from_anywhere():
    assert (example_sites().parent / "templates" / "job.sbatch.j2").is_file()
    assert Path(example_sites()).is_absolute()
