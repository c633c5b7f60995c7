"""Site files: the examples are right, and each mistake has one sentence with key, value and way out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from verl_medu1.cluster.site import DEFAULT, Site, example_sites, read_site


@pytest.mark.parametrize("file", sorted(example_sites().glob("*.yaml")), ids=lambda file: file.stem)
def test_the_examples_are_sites(file):
    assert read_site(file).container == "none"


PAGE = Path(__file__).resolve().parents[2] / "docs" / "slurm.md"


@pytest.mark.parametrize("block", re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S))
def test_the_pages_examples_are_sites(tmp_path, block):
    (tmp_path / "site.yaml").write_text(block)
    assert read_site(tmp_path / "site.yaml").environment["HF_HOME"]


def test_the_default_has_every_key_with_a_comment():
    blocks = (example_sites() / DEFAULT).read_text().strip().split("\n\n")
    assert all(block.startswith("# ") for block in blocks)


def test_an_empty_site_is_the_default(tmp_path):
    (tmp_path / "site.yaml").write_text("# nothing differs\n")
    assert read_site(tmp_path / "site.yaml") == read_site(example_sites() / DEFAULT)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("acount: a", "acount is not a key of a site; near it are account"),
        ("- a", "it must have keys with values"),
        ("a: [", "no YAML"),
        ("gpus_per_nodes: 8", "gpus_per_nodes is not a key of a site; near it are gpus_per_node"),
        ("8: gpus", "8 is not a key of a site; near it are "),
        ("account: 1234", "account is 1234; give text, in quotes, or null."),
        ("scratch:", "scratch is null; give text, in quotes."),
        ("gpu: 80", "gpu is 80; give text, in quotes, or null."),
        ("container: no", "container is False; choose 'none', 'apptainer' or 'pyxis'."),
        ("memory_gib_per_node: 500G", "memory_gib_per_node is '500G'; give a whole number, or null."),
        ("signal_s: 1.5", "signal_s is 1.5; give a whole number."),
        ("cpus_per_node: [64]", "cpus_per_node is [64]; give a whole number."),
        ("offline: 'yes'", "offline is 'yes'; give true or false."),
        ("mounts: /data", "mounts is '/data'; give a list, such as [first, second]."),
        ("mounts: [1]", "mounts has 1; give text, in quotes."),
        (
            "environment: [A=1]",
            "environment has a value that is not allowed; give names with values, such as {NAME: value}.",
        ),
        ("environment: {1: x}", "environment has 1; give text, in quotes."),
        ("sbatch: {constraint: ib}", "sbatch is {'constraint': 'ib'}; give a list, such as [first, second]."),
        ("time: 24:00:00", "time is 86400; give D-HH:MM:SS, HH:MM:SS or minutes, in quotes."),
        ("time: a day", "time is 'a day'; give D-HH:MM:SS, HH:MM:SS or minutes, in quotes."),
        ("time: '00:00'", "time is '00:00'; give D-HH:MM:SS, HH:MM:SS or minutes, in quotes."),
        ("gpu: h100", "gpu is 'h100'; choose one of h100-80, h200-141, a100-80, l40s-48, null."),
        ("container: docker", "container is 'docker'; choose 'none', 'apptainer' or 'pyxis'."),
        ("container: apptainer", "image is null, and container is 'apptainer'; name the image"),
        ("gpu_option: gpus", "gpu_option is 'gpus'; choose 'gres' or 'gpus-per-node'."),
        ("gpus_per_node: 0", "gpus_per_node is 0; give a whole number of at least 1."),
        ("gpus_per_node: '8'", "gpus_per_node is '8'; give a whole number."),
        ("gpus_per_node: true", "gpus_per_node is True; give a whole number."),
        ("memory_gib_per_node: 0", "memory_gib_per_node is 0; give a whole number of at least 1, or null."),
        ("offline: 1", "offline is 1; give true or false."),
        ("max_requeues: -1", "max_requeues is -1; give a whole number of at least 0."),
        ('account: "a\\n#SBATCH --nodes=9"', "account is 'a\\n#SBATCH --nodes=9', which has a line break"),
        ("partition: gpu long", "partition is 'gpu long'; give it without spaces, or null."),
        ("interface: ''", "interface is ''; give it without spaces, or null."),
        ("modules: [cuda 13]", "modules has 'cuda 13'; give it without spaces"),
        ("modules: cuda/13", "modules is 'cuda/13'; give a list, such as [first, second]."),
        ("mounts: [data]", "mounts has 'data'; give absolute paths"),
        ("mounts: ['/a,/b']", "mounts has '/a,/b'; give absolute paths, SOURCE or SOURCE:TARGET, without commas."),
        ("scratch: tmp", "scratch is 'tmp'; give an absolute path of at most 40 characters."),
        (
            "environment: {NCCL_DEBUG: 1}",
            "environment.NCCL_DEBUG has a value that is not allowed; give text, in quotes.",
        ),
        ("environment: {'A-B': x}", "environment has 'A-B', which is not a name of a variable"),
        ("environment: {MEDU1_RUN_DIR: /x}", "environment has 'MEDU1_RUN_DIR', which is set by the job itself"),
        ('environment: {A: "x\\ny"}', "environment.A has a value that is not allowed; give text without line breaks."),
        ("sbatch: ['-N2']", "sbatch has '-N2'; give --name or --name=value"),
        ("sbatch: ['--nodes=2']", "sbatch has '--nodes=2', which trainer.nnodes decides; leave it out."),
        ('sbatch: ["--comment=a\\n#SBATCH -N9"]', "give --name or --name=value on one line"),
    ],
)
def test_each_mistake_has_its_sentence(tmp_path, text, sentence):
    file = tmp_path / "site.yaml"
    file.write_text(text + "\n")
    with pytest.raises(ValueError) as raised:
        read_site(file)
    assert sentence in str(raised.value) and str(raised.value).startswith(f"--site {file}: ")
    assert "\n" not in str(raised.value)


def test_a_missing_file_says_where_examples_are(tmp_path):
    with pytest.raises(ValueError, match=r"there is no such file; copy one of .*sites"):
        read_site(tmp_path / "nowhere.yaml")


def test_several_mistakes_are_told_at_once(tmp_path):
    (tmp_path / "site.yaml").write_text("gpu: h100\nscratch: tmp\noffline: 1\ncontainer: pyxis\nacount: a\n")
    with pytest.raises(ValueError) as raised:
        read_site(tmp_path / "site.yaml")
    assert len(str(raised.value).splitlines()) == 5


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(SCALARS, inner), max_leaves=5)


@given(key=st.sampled_from(list(Site.model_fields)), value=VALUES)
def test_whatever_a_key_has_is_taken_as_it_is_or_refused_in_sentences_that_name_it(tmp_path_factory, key, value):
    file = tmp_path_factory.mktemp("site") / "site.yaml"
    file.write_text(yaml.safe_dump({key: value}))
    try:
        site = read_site(file)
    except ValueError as refused:
        lines = str(refused).splitlines()
        assert lines and all(f"--site {file}: {key}" in line for line in lines)
    else:
        assert getattr(site, key) == value and type(getattr(site, key)) is type(value)


def test_only_what_reads_a_site_imports_pydantic():
    light = "verl_medu1.cli.app, verl_medu1.run.start, verl_medu1.checks.run, verl_medu1.cluster.preflight"
    code = f"import sys, {light}; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
