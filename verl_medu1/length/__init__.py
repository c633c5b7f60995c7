"""Length budgets: how far an answer is from its budget, what that costs, and how it enters the advantage."""
