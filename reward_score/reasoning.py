"""Names of what a judge says of the reasoning of a right answer (judge/reasoning.py).

Checks before a start read them, and should not import a judge for that.
"""

# 1.0 if the judge comes to the answer by the reasoning alone; the share of the rubric that is true of it.
CONSISTENT, REASONING = "consistent", "reasoning"
