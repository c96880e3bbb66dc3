"""Foreign data: CREATE, ALTER, DROP FOREIGN DATA WRAPPER, SERVER, USER MAPPING, FOREIGN TABLE → rows of
pg_foreign_data_wrapper, pg_foreign_server, pg_user_mapping, pg_foreign_table. Source: PostgreSQL manual, 5.12, 59."""
