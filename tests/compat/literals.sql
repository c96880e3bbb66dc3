-- literals when standard_conforming_strings is off; identifiers that are cut
create table t (a int, b text);
insert into t values (1, 'x'), (2, 'y');
select 'a\nb', E'a\nb', length('\\'), '\\';
set standard_conforming_strings = off;
show standard_conforming_strings;
select 'a\nb';
select 'a\\b', 'c';
select 'it\'s', 1, "b" from t where b = 'x';
select '\101\x41\u0041\U00000041', '''\'' ', E'\'x', 'plain';
select 'a\qb\bc\f\r\t\v' is not null;
select 'é\n', 'ü', foo from t;
select '\n' || bar;
select 'a'
'\n', 'b';
select E'a\n'
'\n', length(E'a\\'
'\\\\');
select 'a\n'
  -- comment
  'b';
select u&'\0041';
select u&"\0041" from t;
select B'101', X'1F', n'a\\b';
select $$a\n$$, $x$'\n'$x$, /* '\n' */ 1 -- '\n'
;
select '\n' as "a\n";
select 'abc\';
select '\ud83d';
select '\u00zz';
select 'aé\u00zz';
select '\xff';
select '\0';
select '\000';
select '\x';
insert into t values (3, 'back\\slash\t');
select a, b from t order by a;
select * from t where b like 'back\\\\%';
select * from t where b = 'it\'s' and a = 1 and c = 2;
prepare p as select 'a\tb' as x;
execute p;
deallocate p;
select 1; select 'x\y';
set escape_string_warning = off;
select 'a\nb';
select 'x\'y';
set backslash_quote = off;
select 'x\'y';
select E'x\'y';
select E'x\\', 'x''y';
set backslash_quote = on;
select 'x\'y', E'\'';
set standard_conforming_strings = on;
select 'x\', E'\'';
set backslash_quote = off;
select E'\'';
select E'a\\''', 'b\';
set backslash_quote = foo;
reset backslash_quote;
set client_encoding = sjis;
select E'\'';
select E'a\\';
set backslash_quote = on;
select E'\'';
reset backslash_quote;
reset client_encoding;
select E'\'';
begin;
set local standard_conforming_strings = off;
select 'a\nb';
rollback;
select 'a\nb';
reset escape_string_warning;
begin;
savepoint s;
set standard_conforming_strings = off;
select 'a\nb';
rollback to s;
select 'a\nb';
commit;
select 1 as a23456789012345678901234567890123456789012345678901234567890123;
select 1 as a234567890123456789012345678901234567890123456789012345678901234;
select 1 as a234567890123456789012345678901234567890123456789012345678901234;
select 1 as "A234567890123456789012345678901234567890123456789012345678901234", 2 as B234567890123456789012345678901234567890123456789012345678901234;
select 1 as ééééééééééééééééééééééééééééééééé, 'a234567890123456789012345678901234567890123456789012345678901234';
create table a234567890123456789012345678901234567890123456789012345678901234 (a int);
select * from a234567890123456789012345678901234567890123456789012345678901234;
drop table a234567890123456789012345678901234567890123456789012345678901234;
create global temporary table gt (a int);
create global temp table gt2 as select 1 as x;
select 1 as x into global temp gt3;
create local temporary table lt (a int);
drop table gt, gt2, gt3, lt;
select 'a' -- x
'b', 1 -- y
;
select 'a' /* x */
'b';
select 'a'
-- x
'b', 1a;
select 'a' -- it's
  frm;
vacuum (parallel) t;
vacuum (parallel 2000) t;
vacuum (parallel x) t;
vacuum (full, parallel 2) t;
vacuum t (a);
vacuum (index_cleanup auto, verbose off) t;
vacuum (index_cleanup foo) t;
vacuum (full, disable_page_skipping) t;
vacuum (full, process_toast off) t;
analyze (full) t;
analyze (skip_locked 1) t;
vacuum (analyze 2) t;
