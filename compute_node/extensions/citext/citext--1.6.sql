-- citext 1.6
CREATE TYPE citext;

CREATE FUNCTION citextin(cstring) RETURNS citext
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citextin';

CREATE FUNCTION citextout(citext) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citextout';

CREATE FUNCTION citextrecv(internal) RETURNS citext
    LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'citextrecv';

CREATE FUNCTION citextsend(citext) RETURNS bytea
    LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'citextsend';

CREATE TYPE citext (
    INPUT = citextin,
    OUTPUT = citextout,
    RECEIVE = citextrecv,
    SEND = citextsend,
    INTERNALLENGTH = VARIABLE,
    ALIGNMENT = int4,
    STORAGE = extended,
    CATEGORY = 'S',
    COLLATABLE = true
);

CREATE FUNCTION citext(character) RETURNS citext
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_rtrim1';

CREATE FUNCTION citext(boolean) RETURNS citext
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_booltext';

CREATE FUNCTION citext(inet) RETURNS citext
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_network_show';

CREATE FUNCTION citext_eq(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_eq';

CREATE FUNCTION citext_ne(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_ne';

CREATE FUNCTION citext_lt(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_lt';

CREATE FUNCTION citext_le(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_le';

CREATE FUNCTION citext_gt(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_gt';

CREATE FUNCTION citext_ge(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_ge';

CREATE FUNCTION citext_cmp(citext, citext) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_cmp';

CREATE FUNCTION citext_hash(citext) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_hash';

CREATE FUNCTION citext_smaller(citext, citext) RETURNS citext
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_smaller';

CREATE FUNCTION citext_larger(citext, citext) RETURNS citext
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_larger';

CREATE FUNCTION texticlike(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'texticlike';

CREATE FUNCTION texticnlike(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'texticnlike';

CREATE FUNCTION texticregexeq(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'texticregexeq';

CREATE FUNCTION texticregexne(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'texticregexne';

CREATE FUNCTION texticlike(citext, text) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'texticlike';

CREATE FUNCTION texticnlike(citext, text) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'texticnlike';

CREATE FUNCTION texticregexeq(citext, text) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'texticregexeq';

CREATE FUNCTION texticregexne(citext, text) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'texticregexne';

CREATE FUNCTION regexp_match(citext, citext) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_match($1::text, $2::text, 'i');

CREATE FUNCTION regexp_match(citext, citext, text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_match($1::text, $2::text, CASE WHEN strpos($3, 'c') = 0 THEN $3 || 'i' ELSE $3 END);

CREATE FUNCTION regexp_matches(citext, citext) RETURNS SETOF text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 1 BEGIN ATOMIC SELECT regexp_matches($1::text, $2::text, 'i'); END;

CREATE FUNCTION regexp_matches(citext, citext, text) RETURNS SETOF text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 10 BEGIN ATOMIC SELECT regexp_matches($1::text, $2::text, CASE WHEN strpos($3, 'c') = 0 THEN $3 || 'i' ELSE $3 END); END;

CREATE FUNCTION regexp_replace(citext, citext, text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_replace($1::text, $2::text, $3, 'i');

CREATE FUNCTION regexp_replace(citext, citext, text, text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_replace($1::text, $2::text, $3, CASE WHEN strpos($4, 'c') = 0 THEN $4 || 'i' ELSE $4 END);

CREATE FUNCTION regexp_split_to_array(citext, citext) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_split_to_array($1::text, $2::text, 'i');

CREATE FUNCTION regexp_split_to_array(citext, citext, text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_split_to_array($1::text, $2::text, CASE WHEN strpos($3, 'c') = 0 THEN $3 || 'i' ELSE $3 END);

CREATE FUNCTION regexp_split_to_table(citext, citext) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE BEGIN ATOMIC SELECT regexp_split_to_table($1::text, $2::text, 'i'); END;

CREATE FUNCTION regexp_split_to_table(citext, citext, text) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE BEGIN ATOMIC SELECT regexp_split_to_table($1::text, $2::text, CASE WHEN strpos($3, 'c') = 0 THEN $3 || 'i' ELSE $3 END); END;

CREATE FUNCTION strpos(citext, citext) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN strpos(lower($1::text), lower($2::text));

CREATE FUNCTION replace(citext, citext, citext) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_replace($1::text, regexp_replace($2::text, '([^a-zA-Z_0-9])', '\\\1', 'g'), $3::text, 'gi');

CREATE FUNCTION split_part(citext, citext, integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (regexp_split_to_array($1::text, regexp_replace($2::text, '([^a-zA-Z_0-9])', '\\\1', 'g'), 'i'))[$3];

CREATE FUNCTION translate(citext, citext, text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN translate(translate($1::text, lower($2::text), $3), upper($2::text), $3);

CREATE FUNCTION citext_pattern_lt(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_pattern_lt';

CREATE FUNCTION citext_pattern_le(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_pattern_le';

CREATE FUNCTION citext_pattern_gt(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_pattern_gt';

CREATE FUNCTION citext_pattern_ge(citext, citext) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_pattern_ge';

CREATE FUNCTION citext_pattern_cmp(citext, citext) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_pattern_cmp';

CREATE FUNCTION citext_hash_extended(citext, bigint) RETURNS bigint
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'citext_hash_extended';

CREATE OPERATOR <> (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_ne, COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel
);

CREATE OPERATOR = (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_eq, COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);

CREATE OPERATOR > (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_gt, COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);

CREATE OPERATOR >= (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_ge, COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel
);

CREATE OPERATOR < (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_lt, COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);

CREATE OPERATOR <= (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_le, COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);

CREATE OPERATOR !~ (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = texticregexne, NEGATOR = ~, RESTRICT = icregexnesel, JOIN = icregexnejoinsel
);

CREATE OPERATOR ~ (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = texticregexeq, NEGATOR = !~, RESTRICT = icregexeqsel, JOIN = icregexeqjoinsel
);

CREATE OPERATOR !~* (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = texticregexne, NEGATOR = ~*, RESTRICT = icregexnesel, JOIN = icregexnejoinsel
);

CREATE OPERATOR ~* (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = texticregexeq, NEGATOR = !~*, RESTRICT = icregexeqsel, JOIN = icregexeqjoinsel
);

CREATE OPERATOR !~~ (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = texticnlike, NEGATOR = ~~, RESTRICT = icnlikesel, JOIN = icnlikejoinsel
);

CREATE OPERATOR ~~ (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = texticlike, NEGATOR = !~~, RESTRICT = iclikesel, JOIN = iclikejoinsel
);

CREATE OPERATOR !~~* (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = texticnlike, NEGATOR = ~~*, RESTRICT = icnlikesel, JOIN = icnlikejoinsel
);

CREATE OPERATOR ~~* (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = texticlike, NEGATOR = !~~*, RESTRICT = iclikesel, JOIN = iclikejoinsel
);

CREATE OPERATOR !~ (
    LEFTARG = citext, RIGHTARG = text, FUNCTION = texticregexne, NEGATOR = ~, RESTRICT = icregexnesel, JOIN = icregexnejoinsel
);

CREATE OPERATOR ~ (
    LEFTARG = citext, RIGHTARG = text, FUNCTION = texticregexeq, NEGATOR = !~, RESTRICT = icregexeqsel, JOIN = icregexeqjoinsel
);

CREATE OPERATOR !~* (
    LEFTARG = citext, RIGHTARG = text, FUNCTION = texticregexne, NEGATOR = ~*, RESTRICT = icregexnesel, JOIN = icregexnejoinsel
);

CREATE OPERATOR ~* (
    LEFTARG = citext, RIGHTARG = text, FUNCTION = texticregexeq, NEGATOR = !~*, RESTRICT = icregexeqsel, JOIN = icregexeqjoinsel
);

CREATE OPERATOR !~~ (
    LEFTARG = citext, RIGHTARG = text, FUNCTION = texticnlike, NEGATOR = ~~, RESTRICT = icnlikesel, JOIN = icnlikejoinsel
);

CREATE OPERATOR ~~ (
    LEFTARG = citext, RIGHTARG = text, FUNCTION = texticlike, NEGATOR = !~~, RESTRICT = iclikesel, JOIN = iclikejoinsel
);

CREATE OPERATOR !~~* (
    LEFTARG = citext, RIGHTARG = text, FUNCTION = texticnlike, NEGATOR = ~~*, RESTRICT = icnlikesel, JOIN = icnlikejoinsel
);

CREATE OPERATOR ~~* (
    LEFTARG = citext, RIGHTARG = text, FUNCTION = texticlike, NEGATOR = !~~*, RESTRICT = iclikesel, JOIN = iclikejoinsel
);

CREATE OPERATOR ~>~ (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_pattern_gt, COMMUTATOR = ~<~, NEGATOR = ~<=~, RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);

CREATE OPERATOR ~>=~ (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_pattern_ge, COMMUTATOR = ~<=~, NEGATOR = ~<~, RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);

CREATE OPERATOR ~<~ (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_pattern_lt, COMMUTATOR = ~>~, NEGATOR = ~>=~, RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);

CREATE OPERATOR ~<=~ (
    LEFTARG = citext, RIGHTARG = citext, FUNCTION = citext_pattern_le, COMMUTATOR = ~>=~, NEGATOR = ~>~, RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);

CREATE CAST (citext AS text) WITHOUT FUNCTION AS IMPLICIT;

CREATE CAST (citext AS character varying) WITHOUT FUNCTION AS IMPLICIT;

CREATE CAST (citext AS character) WITHOUT FUNCTION AS ASSIGNMENT;

CREATE CAST (text AS citext) WITHOUT FUNCTION AS ASSIGNMENT;

CREATE CAST (character varying AS citext) WITHOUT FUNCTION AS ASSIGNMENT;

CREATE CAST (character AS citext) WITH FUNCTION citext(character) AS ASSIGNMENT;

CREATE CAST (boolean AS citext) WITH FUNCTION citext(boolean) AS ASSIGNMENT;

CREATE CAST (inet AS citext) WITH FUNCTION citext(inet) AS ASSIGNMENT;

CREATE OPERATOR CLASS citext_ops DEFAULT FOR TYPE citext USING btree AS
    OPERATOR 1 < (citext, citext),
    OPERATOR 2 <= (citext, citext),
    OPERATOR 3 = (citext, citext),
    OPERATOR 4 >= (citext, citext),
    OPERATOR 5 > (citext, citext),
    FUNCTION 1 (citext, citext) citext_cmp(citext,citext);

CREATE OPERATOR CLASS citext_ops DEFAULT FOR TYPE citext USING hash AS
    OPERATOR 1 = (citext, citext),
    FUNCTION 1 (citext, citext) citext_hash(citext);

CREATE OPERATOR CLASS citext_pattern_ops FOR TYPE citext USING btree AS
    OPERATOR 1 ~<~ (citext, citext),
    OPERATOR 2 ~<=~ (citext, citext),
    OPERATOR 3 = (citext, citext),
    OPERATOR 4 ~>=~ (citext, citext),
    OPERATOR 5 ~>~ (citext, citext),
    FUNCTION 1 (citext, citext) citext_pattern_cmp(citext,citext);

ALTER OPERATOR FAMILY citext_ops USING hash ADD
    FUNCTION 2 (citext, citext) citext_hash_extended(citext,bigint);

CREATE AGGREGATE min(citext) (
    SFUNC = citext_smaller,
    STYPE = citext,
    COMBINEFUNC = citext_smaller,
    SORTOP = operator(<),
    PARALLEL = safe
);

CREATE AGGREGATE max(citext) (
    SFUNC = citext_larger,
    STYPE = citext,
    COMBINEFUNC = citext_larger,
    SORTOP = operator(>),
    PARALLEL = safe
);
