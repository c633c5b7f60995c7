"""What is logged of checklists."""

from reward_score.item_results import AGREED, DIFFERED, NO_VERDICT, ItemResult, write_items
from verl_medu1.training.checklist_metrics import audit_metrics, item_metrics
from verl_medu1.training.metrics import component_metrics


def sample(source: str, *items: ItemResult) -> dict[str, object]:
    return {"data_source": source, "acc": 1.0, "checklist_items": write_items(items)}


def test_items_and_must_nots_have_a_mean_each_per_source_and_no_name():
    samples = [
        sample("own", ItemResult("a", True), ItemResult("b", False), ItemResult("x", False, must_not=True)),
        sample("own", ItemResult("a", True), ItemResult("x", True, must_not=True)),
        sample("other", ItemResult("c", False)),
        sample("MedQA"),
        {"data_source": "a function of one's own", "acc": 1.0},
    ]
    assert item_metrics(samples) == {
        "reward/own/checklist_items/mean": 2 / 3,
        "reward/own/checklist_must_nots/mean": 0.5,
        "reward/other/checklist_items/mean": 0.0,
    }
    assert not any("checklist_items" in name for name in component_metrics(samples))


def test_agreement_is_over_the_audited_items_with_a_verdict():
    samples = [
        sample(
            "own", ItemResult("a", True, audit=AGREED), ItemResult("b", True, audit=DIFFERED), ItemResult("c", True)
        ),
        sample("own", ItemResult("x", False, True, AGREED), ItemResult("a", True, audit=NO_VERDICT)),
        {"checklist_items": None},
    ]
    assert audit_metrics(samples) == {
        "judge/audit_items": 3,
        "judge/audit_failed": 1,
        "judge/audit_agreement": 2 / 3,
    }
    assert audit_metrics([sample("own", ItemResult("a", True))]) == {}
    failed = [sample("own", ItemResult("a", True, audit=NO_VERDICT))]
    assert audit_metrics(failed) == {"judge/audit_items": 0, "judge/audit_failed": 1}
