"""Names of benchmarks' test questions as tasks of lm-evaluation-harness 0.4, where it has them."""

# Its own task, with its own prompt and metric: figures compare with published ones only through it.
PUBLIC = {
    "MedQA": "medqa_4options",
    "MedMCQA": "medmcqa",
    "PubMedQA": "pubmedqa",
    "MMLU-Pro": "mmlu_pro_health",
}
# Our prompts and scorers as its task: the folder lm_eval_tasks.
OURS = {
    "MedQA": "medu1_medqa",
    "MedMCQA": "medu1_medmcqa",
    "PubMedQA": "medu1_pubmedqa",
    "MMLU-Pro": "medu1_mmlu_pro_health",
    "MedCalc-Bench": "medu1_medcalc",
    "MedXpertQA": "medu1_medxpertqa",
    "medical-o1-verifiable-problem": "medu1_medical_o1",
}
