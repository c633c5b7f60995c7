"""The task folder for lm-evaluation-harness: its files, its functions, and where it is installed, that it loads."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import verl_medu1.evaluate
from verl_medu1.data.prompts import load_prompts
from verl_medu1.data.sources import READERS
from verl_medu1.data.sources.pubmedqa import official_pmids
from verl_medu1.evaluate.lm_eval_ids import OURS, PUBLIC

FOLDER = Path(verl_medu1.evaluate.__path__[0]) / "lm_eval_tasks"
TASKS = sorted(FOLDER.glob("medu1_*.yaml"))
MEDQA = [
    {"question": "Which drug?", "options": {"A": "heparin", "B": "aspirin"}, "answer_idx": "B"},
    {"question": "Which organ?", "options": {"A": "heart", "B": "lung"}, "answer_idx": "A"},
]
RIGHT = "<think>It is known.</think><answer>B</answer>"


class _Loader(yaml.SafeLoader):
    """Reads `!function module.name` as its text."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def read(file: Path) -> dict[str, Any]:
    return yaml.load(file.read_text(encoding="utf-8"), _Loader)


@pytest.fixture(scope="module")
def utils() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lm_eval_utils", FOLDER / "utils.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", TASKS, ids=lambda file: file.stem)
def test_each_task_names_its_data_and_functions_that_exist(file: Path, utils: ModuleType) -> None:
    task = read(file)
    assert task["task"] == file.stem
    module, name = task["process_docs"].split(".")
    assert module == "utils"
    function = getattr(utils, name)
    hub = READERS[function.args[0]].hub
    assert hub is not None
    assert (task["dataset_path"], task.get("dataset_name")) == (hub.repository, hub.config)
    assert {*task} <= {"include", "task", "dataset_path", "dataset_name", "test_split", "process_docs"}


def test_the_shared_part_is_our_prompt() -> None:
    shared = read(FOLDER / "_medu1_yaml")
    assert [shared["description"]] == list(load_prompts().system)
    assert [metric["metric"] for metric in shared["metric_list"]] == ["acc", "format"]


def test_the_tables_of_names_agree_with_the_folder() -> None:
    assert sorted(OURS.values()) == [file.stem for file in TASKS]
    assert set(PUBLIC) <= set(OURS)


def test_records_become_questions_and_responses_scores(utils: ModuleType) -> None:
    pytest.importorskip("datasets", reason="the package datasets is not installed")
    docs = utils.medqa(MEDQA)
    assert utils.doc_to_text(docs[0]) == "Which drug?\nA. heparin\nB. aspirin\nAnswer with the letter of one option."
    assert [utils.process_results(doc, [RIGHT]) for doc in docs] == [
        {"acc": 1.0, "format": 1.0},
        {"acc": 0.0, "format": 1.0},
    ]
    assert utils.process_results(docs[0], ["B"]) == {"acc": 0.0, "format": 0.0}


def test_the_task_of_pubmedqa_is_its_test_set(utils: ModuleType) -> None:
    pytest.importorskip("datasets", reason="the package datasets is not installed")
    of_the_test = sorted(official_pmids())[:3]
    context = {"contexts": ["Ten sailors."]}
    records = [
        {"pubid": int(pmid), "question": f"At {pmid}?", "context": context, "final_decision": "no"}
        for pmid in ["1", *of_the_test, "2"]
    ]
    assert [doc["question"].split("\n")[1] for doc in utils.pubmedqa(records)] == [
        f"At {pmid}?" for pmid in of_the_test
    ]


def test_a_record_that_cannot_be_used_is_left_out_and_told_and_many_are_refused(
    utils: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("datasets", reason="the package datasets is not installed")
    broken = {**MEDQA[0], "answer_idx": None}
    docs = utils.medqa([*MEDQA * 10, broken])
    assert len(docs) == 20
    told = "left out: medqa, row 20: field answer_idx is empty; it must hold text\n"
    assert capsys.readouterr().err == told
    with pytest.raises(
        ValueError, match=r"medqa, row 2: field answer_idx is empty; it must hold text \(1 of 3 records"
    ):
        utils.medqa([*MEDQA, broken])


def test_lm_eval_loads_and_runs_a_task(tmp_path: Path) -> None:
    lm_eval = pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    import json

    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    (tmp_path / "test.jsonl").write_text("".join(json.dumps(record) + "\n" for record in MEDQA))
    # The task with its data on this disk, in a folder that includes ours.
    text = (FOLDER / "medu1_medqa.yaml").read_text()
    for name in ("_medu1_yaml", "utils.py"):
        (tmp_path / name).write_text((FOLDER / name).read_text())
    local = f"dataset_path: json\ndataset_kwargs: {{data_files: {{test: {tmp_path / 'test.jsonl'}}}}}"
    (tmp_path / "medu1_medqa.yaml").write_text(text.replace(f"dataset_path: {READERS['medqa'].hub.repository}", local))

    class Always(LM):
        """Answers B, and keeps what it was asked."""

        def __init__(self) -> None:
            super().__init__()
            self.asked: list[tuple] = []

        def generate_until(self, requests: list, disable_tqdm: bool = False) -> list[str]:
            self.asked += [request.args for request in requests]
            return [RIGHT for _ in requests]

        def loglikelihood(self, requests: list, disable_tqdm: bool = False) -> list:
            raise AssertionError("our tasks generate")

        loglikelihood_rolling = loglikelihood

    assert {file.stem for file in TASKS} <= set(TaskManager(include_path=str(FOLDER)).all_tasks)
    model = Always()
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    results = lm_eval.simple_evaluate(model, tasks=["medu1_medqa"], task_manager=manager, bootstrap_iters=0)
    assert results is not None
    found = results["results"]["medu1_medqa"]
    assert (found["acc,none"], found["format,none"]) == (0.5, 1.0)
    text, arguments = model.asked[0]
    assert text.startswith(load_prompts().system[0])
    assert text.endswith("Which drug?\nA. heparin\nB. aspirin\nAnswer with the letter of one option.")
    assert arguments["until"] == []
    assert arguments["max_gen_toks"] == 4096
