//! What calls of LLMs cost and how long they take: rollups, budgets, objectives.
