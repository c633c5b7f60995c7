"""Length budgets: how far an answer is from its budget, what that costs, and how it enters the advantage.

budget.py     what is counted, and the distance from the budget
penalties.py  what the lengths of the responses to one question are worth, one pure function each
shaping.py    the components of a batch -> groups, verdicts, values and weights
advantage.py  right answers move within their group by their length
"""
