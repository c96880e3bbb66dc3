"""Functions over files of the machine that the instance runs on (manual, 9.27.9).

``catalog/functions/files`` answers."""

from __future__ import annotations

from compute_node.types.forwards import forwards

_ENTRY = "name text, size int8, modification timestamptz"
_FACTS = "size int8, access timestamptz, modification timestamptz, change timestamptz, creation timestamptz, isdir bool"

forwards(f"""
2625 pg_ls_dir(text) setof text volatile
3297 pg_ls_dir(text, bool, bool) setof text volatile
3826 pg_read_file(text) text volatile
2624 pg_read_file(text, int8, int8) text volatile
3293 pg_read_file(text, int8, int8, bool) text volatile
4100 pg_read_file_old(text, int8, int8) text volatile
3828 pg_read_binary_file(text) bytea volatile
3827 pg_read_binary_file(text, int8, int8) bytea volatile
3295 pg_read_binary_file(text, int8, int8, bool) bytea volatile
2623 pg_stat_file(filename text) record volatile -> {_FACTS}
3307 pg_stat_file(filename text, missing_ok bool) record volatile -> {_FACTS}
3353 pg_ls_logdir() setof record volatile -> {_ENTRY}
3354 pg_ls_waldir() setof record volatile -> {_ENTRY}
5031 pg_ls_archive_statusdir() setof record volatile -> {_ENTRY}
5029 pg_ls_tmpdir() setof record volatile -> {_ENTRY}
5030 pg_ls_tmpdir(tablespace oid) setof record volatile -> {_ENTRY}
6270 pg_ls_logicalsnapdir() setof record volatile -> {_ENTRY}
6271 pg_ls_logicalmapdir() setof record volatile -> {_ENTRY}
6272 pg_ls_replslotdir(slot_name text) setof record volatile -> {_ENTRY}
""")
