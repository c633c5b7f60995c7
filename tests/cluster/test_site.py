"""Site files: the examples are right, and each mistake has one sentence with key, value and way out."""

import re
from pathlib import Path

import pytest

from verl_medu1.cluster.site import DEFAULT, example_sites, read_site


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
        ("acount: a", "acount is no key of a site; near it are account"),
        ("- a", "it must have keys with values"),
        ("a: [", "no YAML"),
        ("time: 24:00:00", 'time is 86400, and must be str. Write it in quotes, such as "24:00:00".'),
        ("time: a day", "time is 'a day'; give D-HH:MM:SS, HH:MM:SS or minutes."),
        ("time: '00:00'", "time is '00:00'; give D-HH:MM:SS, HH:MM:SS or minutes."),
        ("gpu: h100", "gpu is 'h100'; choose one of h100-80, h200-141, a100-80, null."),
        ("container: docker", "container is 'docker'; choose one of none, apptainer, pyxis."),
        ("container: apptainer", "image is null, and container is 'apptainer'; name the image"),
        ("gpu_option: gpus", "gpu_option is 'gpus'; choose one of gres, gpus-per-node."),
        ("gpus_per_node: 0", "gpus_per_node is 0; give a whole number of at least 1."),
        ("gpus_per_node: '8'", "gpus_per_node is '8', and must be int."),
        ("gpus_per_node: true", "gpus_per_node is True, and must be int."),
        ("memory_gib_per_node: 0", "memory_gib_per_node is 0; give a whole number of at least 1, or null"),
        ("offline: 1", "offline is 1, and must be bool."),
        ("max_requeues: -1", "max_requeues is -1; give a whole number of at least 0."),
        ('account: "a\\n#SBATCH --nodes=9"', "account is 'a\\n#SBATCH --nodes=9', which has a line break"),
        ("partition: gpu long", "partition is 'gpu long'; give it without spaces, or null."),
        ("interface: ''", "interface is ''; give it without spaces, or null."),
        ("modules: [cuda 13]", "modules is 'cuda 13'; give it without spaces"),
        ("modules: cuda/13", "modules is 'cuda/13', and must be list[str]."),
        ("mounts: [data]", "mounts has 'data'; give absolute paths"),
        ("mounts: ['/a,/b']", "mounts has '/a,/b'; give absolute paths, SOURCE or SOURCE:TARGET, without commas."),
        ("scratch: tmp", "scratch is 'tmp'; give an absolute path of at most 40 characters."),
        ("environment: {NCCL_DEBUG: 1}", "environment is {'NCCL_DEBUG': 1}, and must be dict[str, str]."),
        ("environment: {'A-B': x}", "environment has 'A-B', which is no name of a variable"),
        ("environment: {MEDU1_RUN_DIR: /x}", "environment has MEDU1_RUN_DIR, which is set by the job itself"),
        ('environment: {A: "x\\ny"}', "environment has A with a line break in its value; leave it out."),
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
    (tmp_path / "site.yaml").write_text("gpu: h100\nscratch: tmp\n")
    with pytest.raises(ValueError) as raised:
        read_site(tmp_path / "site.yaml")
    assert len(str(raised.value).splitlines()) == 2
