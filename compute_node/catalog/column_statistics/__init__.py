"""ANALYZE's column statistics (manual, 14.2): a sample of a table's rows → facts about each column → pg_statistic, and
back for the planner."""
