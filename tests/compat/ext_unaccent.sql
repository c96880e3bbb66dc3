-- unaccent
create extension unaccent;
select unaccent('Hôtel'), unaccent('àéîõü ÀÉÎÕÜ ßæœøłđ ñ Ж ё 2½ «x» …'), unaccent(''), unaccent('plain'), unaccent(null), unaccent('日本 ｆｕｌｌ');
select unaccent('unaccent', 'Café'), unaccent('unaccent'::regdictionary, 'x');
select unaccent('nosuch', 'x');
select ts_lexize('unaccent', 'Hôtel'), ts_lexize('unaccent', 'Hotel'), ts_lexize('unaccent', '');
select md5(string_agg(unaccent(chr(n)), '' order by n)), count(*) filter (where unaccent(chr(n)) <> chr(n)) from generate_series(1, 70000) n where n not between 55296 and 57343;
create text search configuration fr (copy = simple);
alter text search configuration fr alter mapping for hword, hword_part, word with unaccent, simple;
select to_tsvector('fr', 'Hôtels de la Mer'), to_tsquery('fr', 'hotels'), to_tsvector('fr', 'Hôtel') @@ to_tsquery('fr', 'Hotel');
--differs: PostgreSQL names another folder
alter text search dictionary unaccent (rules = 'nosuch_rules');
create text search dictionary other (template = unaccent);
create text search dictionary other (template = unaccent, rules = 'unaccent', rules = 'unaccent');
create text search dictionary other (template = unaccent, nosuch = 'x');
create text search dictionary other (template = unaccent, rules = 'unaccent');
select unaccent('other', 'é');
select proname, provolatile, proisstrict, proparallel, pg_get_function_arguments(oid) from pg_proc where proname like 'unaccent%' order by 1, 5;
drop extension unaccent;
drop extension unaccent cascade;
