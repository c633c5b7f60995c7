"""Length budgets: a response's distance from its budget, the penalty for it, and its effect on the advantage.

budget.py     which tokens are counted, and the distance from the budget
penalties.py  length penalties over the responses to one question, one pure function each
shaping.py    the components of a batch -> groups, verdicts, values and weights
advantage.py  adds the length term to the advantages of right answers, within each group
"""
