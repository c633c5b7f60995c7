"""Task names in lm-evaluation-harness 0.4 for the benchmarks' test questions."""

# The harness's own tasks, prompts and metrics: only their figures are comparable with published ones.
PUBLIC = {
    "MedQA": "medqa_4options",
    "MedMCQA": "medmcqa",
    "PubMedQA": "pubmedqa",
    "MMLU-Pro": "mmlu_pro_health",
}
# Tasks with our prompts and scorers, in the folder lm_eval_tasks.
OURS = {
    "MedQA": "medu1_medqa",
    "MedMCQA": "medu1_medmcqa",
    "PubMedQA": "medu1_pubmedqa",
    "MMLU-Pro": "medu1_mmlu_pro_health",
    "MedCalc-Bench": "medu1_medcalc",
    "MedXpertQA": "medu1_medxpertqa",
    "medical-o1-verifiable-problem": "medu1_medical_o1",
}
