"""A language model as judge of open-ended answers, for what rules can't decide; off unless a recipe names an endpoint.

settings.py      the endpoint and how it is asked
gate.py          what rules decide before a judge is asked
reply.py         what it is asked, and how its reply is read
client.py        asks questions (reward_score/chat), equal ones once
checklist.py     asks about the items of a row's checklist that rules don't decide
score.py         scores a response
reasoning.py     judges the reasoning of a right answer
failed_share.py  too many questions without a verdict
check_result.py  the result file of `medu1 judge check`
"""

from reward_score.chat import Usage
from reward_score.judge.client import Judge
from reward_score.judge.reasoning import ReasoningSettings, judge_reasoning
from reward_score.judge.reply import JudgeError, Opinion
from reward_score.judge.score import JudgedScore, compute_judged_score
from reward_score.judge.settings import JudgeSettings

__all__ = [
    "Judge",
    "JudgeError",
    "JudgeSettings",
    "JudgedScore",
    "Opinion",
    "ReasoningSettings",
    "Usage",
    "compute_judged_score",
    "judge_reasoning",
]
