"""Sources with images: each published form becomes examples, and `medu1 prepare` makes rows of them.

All rows and images are invented; their columns and folders are those of the publishers' descriptions.
"""

import io
import json
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from reward_score import check_gold, compute_score
from reward_score.response import format_response
from verl_medu1.cli.prepare import prepare
from verl_medu1.cli.validate import validate
from verl_medu1.data.budget import Budget
from verl_medu1.data.example import PASSAGE
from verl_medu1.data.images.column import ImageSettings
from verl_medu1.data.schema import question_row
from verl_medu1.data.sources import READERS, load_source, read_source
from verl_medu1.data.sources.reader import Hub

YES_NO = (("A", "yes"), ("B", "no"))


def picture(seed: int, kind: str = "PNG") -> bytes:
    """An image unlike that of any other seed."""
    shades = np.random.default_rng(seed).integers(0, 255, (12, 12), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(shades).resize((240, 192), Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


HUB_IMAGE = {"bytes": picture(0), "path": None}
VQA_RAD = {
    "qid": 3, "phrase_type": "freeform", "image_name": "synpic1.jpg", "image_organ": "HEAD",
    "question": "Is there a midline shift?", "answer": "Yes", "answer_type": "CLOSED ",
}  # fmt: skip
SLAKE = {
    "img_id": 1, "img_name": "xmlab1/source.jpg", "question": "What modality is used to take this image?",
    "answer": "MRI", "q_lang": "en", "location": "Abdomen", "modality": "MRI", "answer_type": "OPEN",
    "base_type": "vqa", "content_type": "Modality", "triple": ["vhead", "_", "_"], "qid": 9,
}  # fmt: skip
PMC_VQA = {
    "Figure_path": "PMC1_F1.jpg", "Question": "What is the uptake pattern in the breast? ",
    "Choice A": " A:Diffuse uptake ", "Choice B": " B:Focal uptake ", "Choice C": "C: No uptake",
    "Choice D": "D.Others",
}  # fmt: skip
UPTAKE = (("A", "Diffuse uptake"), ("B", "Focal uptake"), ("C", "No uptake"), ("D", "Others"))
MM = {
    "id": "MM-26", "question": "Which artery is shown?\nAnswer Choices: (A) C (B) D", "options": {"A": "C", "B": "D"},
    "label": "B", "images": ["MM-26-a.jpeg", "MM-26-b.jpeg"], "medical_task": "Diagnosis",
}  # fmt: skip
OMNI = {
    "dataset": "ACRIMA", "question_id": "ACRIMA_0001", "question_type": "Disease Diagnosis",
    "question": "Does this eye have glaucoma?", "gt_answer": "No, It's normal.", "modality_type": "Fundus",
    "image_path": "Images/ACRIMA/Im1.png", "option_A": "Yes", "option_B": "No, It's normal. ",
}  # fmt: skip

# (source, its file in the published folder, record, image files in that folder, what the example must be)
FOLDERS = [
    (
        "vqa-rad", "VQA_RAD Dataset Public.json", VQA_RAD, ["VQA_RAD Image Folder/synpic1.jpg"],
        {"row_id": "vqa-rad/3", "gold": "A", "options": YES_NO, "data_source": "VQA-RAD-multiple_choice"},
    ),
    (
        "slake", "train.json", SLAKE, ["imgs/xmlab1/source.jpg"],
        {"row_id": "slake/9", "gold": "MRI", "answer_type": "open_ended", "data_source": "SLAKE-open_ended"},
    ),
    (
        "pmc-vqa", "train.csv", {**PMC_VQA, "Answer": "Focal uptake", "Answer_label": "B"}, ["images/PMC1_F1.jpg"],
        {"row_id": "pmc-vqa/0", "gold": "B", "options": UPTAKE, "data_source": "PMC-VQA"},
    ),
    (
        "pmc-vqa", "train_2.csv", {"index": 7, **PMC_VQA, "Caption": "x", "Answer": "B", "split": "train"},
        ["figures/PMC1_F1.jpg"], {"row_id": "pmc-vqa/7", "gold": "B", "options": UPTAKE},
    ),
    (
        "medxpertqa-mm", "MM/test.jsonl", MM, ["images/MM-26-a.jpeg", "images/MM-26-b.jpeg"],
        {"row_id": "medxpertqa-mm/MM-26", "gold": "B", "question": "Which artery is shown?",
         "options": (("A", "C"), ("B", "D")), "data_source": "MedXpertQA-MM"},
    ),
    (
        "omnimedvqa", "OmniMedVQA/QA_information/Open-access/ACRIMA.json", OMNI, ["OmniMedVQA/Images/ACRIMA/Im1.png"],
        {"row_id": "omnimedvqa/ACRIMA_0001", "gold": "B", "options": (("A", "Yes"), ("B", "No, It's normal."))},
    ),
]  # fmt: skip
# (source, record of the hub's parquet, what the example must be)
TABLES = [
    ("vqa-rad", {"image": HUB_IMAGE, "question": "Is it large?", "answer": "no"}, {"gold": "B", "options": YES_NO}),
    ("slake", {"image": HUB_IMAGE, "question": "Which organ?", "answer": "Lung"}, {"answer_type": "open_ended"}),
    ("pathvqa", {"image": HUB_IMAGE, "question": "Where is it?", "answer": "in the canals of hering"}, {"options": ()}),
    ("pathvqa", {"image": HUB_IMAGE, "question": "Is it?", "answer": "yes"}, {"gold": "A", "options": YES_NO}),
    (
        "pmc-vqa",
        {"id": "x", "image": HUB_IMAGE, "question": "Which?", "options": ["A:one", "B:two"], "answer": "B"},
        {"row_id": "pmc-vqa/x", "gold": "B", "options": (("A", "one"), ("B", "two"))},
    ),
    (
        "pmc-vqa",
        {"id": "x", "image": HUB_IMAGE, "question": "Which?", "options": ["one", "two"], "answer": "Two"},
        {"gold": "B", "options": (("A", "one"), ("B", "two"))},
    ),
    (
        "pmc-vqa",
        {"id": "x", "image": HUB_IMAGE, "question": "Which?", "options": ["A. niger", "E. coli"], "answer": "A. niger"},
        {"gold": "A", "options": (("A", "A. niger"), ("B", "E. coli"))},
    ),
]  # fmt: skip


def write(path: Path, records: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        import csv

        with path.open("w", newline="") as file:
            rows = csv.DictWriter(file, records[0])
            rows.writeheader()
            rows.writerows(records)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    else:
        path.write_text(json.dumps(records))
    return path


def write_images(folder: Path, names: list[str]) -> None:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(seed, "PNG" if name.endswith("png") else "JPEG"))


@pytest.mark.parametrize(("name", "file", "record", "images", "expected"), FOLDERS)
def test_each_published_folder_is_read(tmp_path, name, file, record, images, expected):
    write_images(tmp_path, images)
    [example] = read_source(name, write(tmp_path / file, [record]))
    assert {field: getattr(example, field) for field in expected} == expected
    shown = [Image.open(io.BytesIO(image)) for image in example.images]
    assert [image.size for image in shown] == [(240, 192)] * len(images)
    row = question_row(example, [], Budget(), "test", 0)
    assert check_gold(example.data_source, example.gold, row["extra_info"]) is None


@pytest.mark.parametrize(("name", "record", "expected"), TABLES)
def test_each_table_of_the_hub_is_read(tmp_path, name, record, expected):
    [example] = read_source(name, write(tmp_path / "train-00000-of-00001.parquet", [record]))
    assert {field: getattr(example, field) for field in expected} == expected
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(example.images[0])).convert("L")), picture_shades(0))


def picture_shades(seed: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture(seed))))


def test_every_source_with_images_has_a_form_here_and_scorers():
    here = {case[0] for case in [*FOLDERS, *TABLES]}
    assert here | {"own"} == {name for name, reader in READERS.items() if reader.images}


def test_the_hub_gives_bytes_undecoded(tmp_path, monkeypatch):
    rows = [
        {"image": {"bytes": data, "path": None}, "question": f"Which organ {seed}?", "answer": "Lung"}
        for seed, data in enumerate([picture(1), picture(2), b"<html>404</html>"])
    ]
    kinds = {"image": datasets.Image(), "question": datasets.Value("string"), "answer": datasets.Value("string")}
    datasets.Dataset.from_list(rows, features=datasets.Features(kinds)).to_parquet(tmp_path / "hub" / "train.parquet")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    here = replace(READERS["vqa-rad"], hub=Hub(str(tmp_path / "hub"), "train"))
    monkeypatch.setitem(READERS, "vqa-rad", here)
    loaded = load_source("vqa-rad", "hub", max_unusable=0.5)
    assert len(loaded.examples) == 2 and loaded.provenance["images"]["read"] == 2
    assert len(loaded.provenance["sha256"]) == 64
    (reason,) = loaded.unusable
    assert reason.startswith("image: it is none of PNG")


def test_images_elsewhere_are_named_by_the_user(tmp_path):
    write_images(tmp_path, ["else/MM-26-a.jpeg", "else/MM-26-b.jpeg"])
    file = write(tmp_path / "test.jsonl", [MM])
    with pytest.raises(ValueError, match=r"line 1: image MM-26-a\.jpeg: there is no such file in .*; see --images"):
        load_source("medxpertqa-mm", file)
    settings = ImageSettings({"medxpertqa-mm": tmp_path / "else"})
    assert len(load_source("medxpertqa-mm", file, images=settings).examples[0].images) == 2
    with pytest.raises(ValueError, match="--images names medqa, which has no images"):
        load_source("medqa", file, images=ImageSettings({"medqa": tmp_path}))
    with pytest.raises(ValueError, match=r"--images is .*; name each source once"):
        prepare([f"medxpertqa-mm={file}"], tmp_path / "out", images=["medxpertqa-mm=else", "medxpertqa-mm=other"])


def test_a_column_that_is_not_read_does_not_lose_the_images(tmp_path):
    """As when a table of one's own calls it Image."""
    write_images(tmp_path, ["a.png"])
    file = write(tmp_path / "own.json", [{"question": "Which?", "answer": "this", "Image": "a.png"}])
    with pytest.raises(ValueError, match=r"no record of .* has an image; they are read from images or image"):
        load_source("own", f"{file}:open_ended", images=ImageSettings({"own": tmp_path}))


def test_more_options_than_letters_are_told(tmp_path):
    texts = [f"{letter}:{letter * 2}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"] + ["one more"]
    record = {"id": "x", "image": HUB_IMAGE, "question": "Which?", "options": texts, "answer": "B"}
    with pytest.raises(ValueError, match="field options has 27 options"):
        load_source("pmc-vqa", write(tmp_path / "copy.parquet", [record]))


def test_an_answer_that_is_a_letter_and_another_options_text_is_unusable(tmp_path):
    record = {"id": "x", "image": HUB_IMAGE, "question": "Which?", "options": ["B", "A"], "answer": "B"}
    with pytest.raises(ValueError, match="field answer holds 'B'; it must not be both a letter and the text"):
        load_source("pmc-vqa", write(tmp_path / "copy.parquet", [record]))


def test_medxpertqa_with_images_is_not_read_as_text(tmp_path):
    with pytest.raises(ValueError, match="field images has images; give a file of MedXpertQA-Text, or medxpertqa-mm"):
        load_source("medxpertqa", write(tmp_path / "test.jsonl", [MM]))


def test_slake_is_read_in_english_alone(tmp_path):
    write_images(tmp_path, ["imgs/xmlab1/source.jpg"])
    chinese = {**SLAKE, "q_lang": "zh", "question": "这是什么?", "answer": "肺", "qid": 10}
    file = write(tmp_path / "train.json", [SLAKE, chinese])
    loaded = load_source("slake", file)
    assert [example.row_id for example in loaded.examples] == ["slake/9"]
    assert loaded.others == {"not q_lang en": 1}
    with pytest.raises(ValueError, match="has q_lang en"):
        read_source("slake", write(tmp_path / "train.json", [chinese]))


def test_a_source_in_parts_is_read_by_a_pattern(tmp_path):
    for part in range(3):
        record = {"image": {"bytes": picture(part), "path": None}, "question": f"Which {part}?", "answer": "yes"}
        write(tmp_path / f"train-0000{part}-of-00003.parquet", [record])
    loaded = load_source("pathvqa", tmp_path / "train-*.parquet")
    assert [example.row_id for example in loaded.examples] == ["pathvqa/0", "pathvqa/1", "pathvqa/2"]
    assert len(loaded.provenance["files"]) == 3 and loaded.provenance["file"] == "train-*.parquet"
    with pytest.raises(ValueError, match="no file is named like"):
        load_source("pathvqa", tmp_path / "test-*.parquet")


@pytest.mark.parametrize(("answer", "gold"), [("yes", "A"), ("Yes.", "A"), (" NO ", "B")])
def test_yes_and_no_are_options(tmp_path, answer, gold):
    [example] = read_source("pathvqa", write(tmp_path / "a.parquet", [{**TABLES[2][1], "answer": answer}]))
    assert (example.gold, example.options) == (gold, YES_NO)


@pytest.mark.parametrize(
    ("published", "read"),
    [
        ("Spleen \tkidneys", "Spleen, kidneys"),
        ("liver \tsplee n\tbladde r\tand ribs", "liver, spleen, bladder, and ribs"),
        ("vitamin a\tfaster with new scanners", "vitamin a, faster with new scanners"),
        ("Left side", "Left side"),
    ],
)
def test_a_tab_of_vqa_rad_is_a_comma(tmp_path, published, read):
    record = {"image": HUB_IMAGE, "question": f"Are {published} shown?", "answer": published}
    [example] = read_source("vqa-rad", write(tmp_path / "a.parquet", [record]))
    assert (example.question, example.gold) == (f"Are {read} shown?", read)


@pytest.mark.parametrize("answer", ["Maybe", "not sure."])
def test_an_answer_that_leaves_its_question_open_is_unusable(tmp_path, answer):
    records = [{"image": HUB_IMAGE, "question": f"Is it {text}?", "answer": text} for text in ("yes", "large", answer)]
    loaded = load_source("vqa-rad", write(tmp_path / "a.parquet", records), max_unusable=0.5)
    assert [example.gold for example in loaded.examples] == ["A", "large"]
    assert loaded.unusable == {"field answer: it must answer the question": 1}


def test_a_question_that_is_published_with_several_answers_has_them_all(tmp_path):
    asked = [
        *(("What is present?", gold, 0) for gold in ("rib", "enchondroma", "Rib")),
        ("What is present?", "spleen", 1),
        *(("Is it a bone?", gold, 1) for gold in ("no", "no")),
    ]
    records = [
        {"image": {"bytes": picture(image), "path": None}, "question": question, "answer": gold}
        for question, gold, image in asked
    ]
    prepare([f"pathvqa={write(tmp_path / 'a.parquet', records)}"], tmp_path / "out", test_share=0)
    rows = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    found = {row["reward_model"]["ground_truth"]: row["extra_info"]["aliases"] for row in rows}
    assert found == {"rib": ["enchondroma"], "spleen": [], "B": []}
    row = next(row for row in rows if row["reward_model"]["ground_truth"] == "rib")
    right = format_response("It is seen.", "an enchondroma")
    assert compute_score(row["data_source"], right, "rib", row["extra_info"])["acc"] == 1


def test_a_long_answer_is_not_graded(tmp_path):
    long = "an infiltrate of lymphocytes and plasma cells surrounds the portal tracts "
    long += "and reaches with bridging fibrosis between enlarged central veins of both lobes"
    [example] = read_source("pathvqa", write(tmp_path / "a.parquet", [{**TABLES[2][1], "answer": long}]))
    assert example.graded == PASSAGE


def slake_records(images: int) -> list[dict]:
    asked = [("Is the heart large?", "Yes"), ("Is there a fracture?", "No"), ("Which organ is shown?", "Lung")]
    return [
        {
            **SLAKE,
            "img_name": f"xmlab{place}/source.jpg",
            "question": question,
            "answer": answer,
            "qid": 3 * place + number,
        }
        for place in range(images)
        for number, (question, answer) in enumerate(asked)
    ]


def test_prepare_writes_rows_with_images_and_tells_of_broken_ones(tmp_path, capfd):
    write_images(tmp_path, [f"imgs/xmlab{place}/source.jpg" for place in range(30)])
    broken = tmp_path / "imgs" / "xmlab7" / "source.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    records = [*slake_records(30), {**SLAKE, "img_name": "../secret.jpg", "qid": 999}]
    records[5] = {**records[5], "question": "Is <image> normal? Or <image>?"}
    file = write(tmp_path / "train.json", records)
    out = tmp_path / "out"
    prepare([f"slake={file}"], out, warmup=4, max_unusable=0.1, image_side=56)
    tables = {name: pq.read_table(out / f"{name}.parquet") for name in ("train", "test", "warmup")}
    rows = {name: table.to_pylist() for name, table in tables.items()}
    assert len(rows["train"]) + len(rows["test"]) == 86
    for row in rows["train"]:
        assert row["prompt"][1]["content"].startswith("<image>") and row["prompt"][1]["content"].count("<image>") == 1
        assert max(Image.open(io.BytesIO(row["images"][0]["bytes"])).size) == 56
    for row in rows["warmup"]:
        assert len(row["images"]) == 1 and "<image>" not in row["messages"][-1]["content"]
    # The same question about other images is another question; one image is never on both sides.
    on_sides = [{image["bytes"] for row in rows[side] for image in row["images"]} for side in ("train", "test")]
    assert len(on_sides[0] | on_sides[1]) == 29 and not on_sides[0] & on_sides[1]
    told = capfd.readouterr().err
    assert "record 21: image xmlab7/source.jpg: it is cut off or broken" in told
    assert "record 90: image ../secret.jpg: its name leads out of the folder of images" in told
    assert "record 5: its text has 2 <image>, and it has 1 images" in told
    assert "slake: 29 different images, written without metadata" in told
    entry = json.loads((out / "manifest.json").read_text())["sources"]["slake"]
    assert entry["licence"] == "CC-BY-4.0" and sum(entry["unusable"].values()) == 5
    assert entry["images"]["read"] == 29 and entry["images"]["side"] == 56
    validate(str(out / "train.parquet"))
    right = format_response("It is seen.", rows["train"][0]["reward_model"]["ground_truth"])
    row = rows["train"][0]
    assert compute_score(row["data_source"], right, row["reward_model"]["ground_truth"], row["extra_info"])["acc"] == 1


def test_too_many_broken_images_end_the_command(tmp_path):
    write_images(tmp_path, [f"imgs/xmlab{place}/source.jpg" for place in range(5)])
    file = write(tmp_path / "train.json", slake_records(8))
    with pytest.raises(ValueError, match=r"record 15: image xmlab5/source\.jpg: there is no such file .*\(9 of 24"):
        prepare([f"slake={file}"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_of_the_test_set_of_vqa_rad_are_known_in_the_authors_file(tmp_path):
    names = [f"synpic{place}.jpg" for place in range(12)]
    write_images(tmp_path / "VQA_RAD Image Folder", names)
    records = [
        {**VQA_RAD, "qid": place, "image_name": name, "phrase_type": "test_para" if place < 4 else "para"}
        for place, name in enumerate(names)
    ]
    prepare([f"vqa-rad={write(tmp_path / 'VQA_RAD Dataset Public.json', records)}"], tmp_path / "out")
    test = pq.read_table(tmp_path / "out" / "test.parquet").to_pylist()
    assert {row["extra_info"]["row_id"] for row in test} == {f"vqa-rad/{place}" for place in range(4)}


def test_texts_and_images_make_one_data_set(tmp_path):
    write_images(tmp_path, [f"scan{place}.png" for place in range(10)])
    pictured = [{"question": "Which side?", "answer": "left", "image": f"scan{place}.png"} for place in range(10)]
    words = [{"question": f"What is the {place}th bone?", "answer": "rib", "image": ""} for place in range(10)]
    file = write(tmp_path / "own.csv", [*pictured, *words])
    prepare([f"own={file}:open_ended"], tmp_path / "out", test_share=0.2)
    rows = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    assert {len(row["images"]) for row in rows} == {0, 1}
    assert all(row["prompt"][1]["content"].count("<image>") == len(row["images"]) for row in rows)
    plain = write(tmp_path / "plain.csv", words)
    prepare([f"own={plain}:open_ended"], tmp_path / "plain")
    assert "images" not in pq.read_schema(tmp_path / "plain" / "train.parquet").names


def test_the_same_images_and_seed_give_the_same_bytes(tmp_path):
    write_images(tmp_path, [f"imgs/xmlab{place}/source.jpg" for place in range(10)])
    file = write(tmp_path / "train.json", slake_records(10))
    for name in ("one", "two"):
        prepare([f"slake={file}"], tmp_path / name, warmup=3)
    for name in ("train.parquet", "test.parquet", "warmup.parquet", "manifest.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
