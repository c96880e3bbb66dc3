"""json and jsonb: types, operators, functions, aggregates (manual, 8.14 and 9.16)."""
