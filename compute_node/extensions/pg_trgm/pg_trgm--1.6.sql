-- pg_trgm 1.6
CREATE FUNCTION set_limit(real) RETURNS real
    LANGUAGE internal STRICT AS 'set_limit';

CREATE FUNCTION show_limit() RETURNS real
    LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'show_limit';

CREATE FUNCTION show_trgm(text) RETURNS text[]
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'show_trgm';

CREATE FUNCTION similarity(text, text) RETURNS real
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'similarity';

CREATE FUNCTION similarity_op(text, text) RETURNS boolean
    LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'similarity_op';

CREATE FUNCTION word_similarity(text, text) RETURNS real
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'word_similarity';

CREATE FUNCTION word_similarity_op(text, text) RETURNS boolean
    LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'word_similarity_op';

CREATE FUNCTION word_similarity_commutator_op(text, text) RETURNS boolean
    LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'word_similarity_commutator_op';

CREATE FUNCTION similarity_dist(text, text) RETURNS real
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'similarity_dist';

CREATE FUNCTION word_similarity_dist_op(text, text) RETURNS real
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'word_similarity_dist_op';

CREATE FUNCTION word_similarity_dist_commutator_op(text, text) RETURNS real
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'word_similarity_dist_commutator_op';

CREATE FUNCTION strict_word_similarity(text, text) RETURNS real
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'strict_word_similarity';

CREATE FUNCTION strict_word_similarity_op(text, text) RETURNS boolean
    LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'strict_word_similarity_op';

CREATE FUNCTION strict_word_similarity_commutator_op(text, text) RETURNS boolean
    LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'strict_word_similarity_commutator_op';

CREATE FUNCTION strict_word_similarity_dist_op(text, text) RETURNS real
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'strict_word_similarity_dist_op';

CREATE FUNCTION strict_word_similarity_dist_commutator_op(text, text) RETURNS real
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'strict_word_similarity_dist_commutator_op';

CREATE OPERATOR % (
    LEFTARG = text, RIGHTARG = text, FUNCTION = similarity_op, COMMUTATOR = %, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR %> (
    LEFTARG = text, RIGHTARG = text, FUNCTION = word_similarity_commutator_op, COMMUTATOR = <%, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR <% (
    LEFTARG = text, RIGHTARG = text, FUNCTION = word_similarity_op, COMMUTATOR = %>, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR <-> (
    LEFTARG = text, RIGHTARG = text, FUNCTION = similarity_dist, COMMUTATOR = <->
);

CREATE OPERATOR <->> (
    LEFTARG = text, RIGHTARG = text, FUNCTION = word_similarity_dist_commutator_op, COMMUTATOR = <<->
);

CREATE OPERATOR <<-> (
    LEFTARG = text, RIGHTARG = text, FUNCTION = word_similarity_dist_op, COMMUTATOR = <->>
);

CREATE OPERATOR %>> (
    LEFTARG = text, RIGHTARG = text, FUNCTION = strict_word_similarity_commutator_op, COMMUTATOR = <<%, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR <<% (
    LEFTARG = text, RIGHTARG = text, FUNCTION = strict_word_similarity_op, COMMUTATOR = %>>, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR <->>> (
    LEFTARG = text, RIGHTARG = text, FUNCTION = strict_word_similarity_dist_commutator_op, COMMUTATOR = <<<->
);

CREATE OPERATOR <<<-> (
    LEFTARG = text, RIGHTARG = text, FUNCTION = strict_word_similarity_dist_op, COMMUTATOR = <->>>
);

CREATE TYPE gtrgm;

CREATE FUNCTION gtrgm_in(cstring) RETURNS gtrgm
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gtrgm_in';

CREATE FUNCTION gtrgm_out(gtrgm) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gtrgm_out';

CREATE TYPE gtrgm (
    INTERNALLENGTH = VARIABLE, INPUT = gtrgm_in, OUTPUT = gtrgm_out
);

CREATE FUNCTION gin_extract_value_trgm(text, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gin_extract_value_trgm';

CREATE FUNCTION gin_extract_query_trgm(text, internal, int2, internal, internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gin_extract_query_trgm';

CREATE FUNCTION gin_trgm_consistent(internal, int2, text, int4, internal, internal, internal, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gin_trgm_consistent';

CREATE FUNCTION gin_trgm_triconsistent(internal, int2, text, int4, internal, internal, internal) RETURNS "char"
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gin_trgm_triconsistent';

CREATE FUNCTION gtrgm_consistent(internal, text, int2, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gtrgm_consistent';

CREATE FUNCTION gtrgm_distance(internal, text, int2, oid, internal) RETURNS float8
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gtrgm_distance';

CREATE FUNCTION gtrgm_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gtrgm_compress';

CREATE FUNCTION gtrgm_decompress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gtrgm_decompress';

CREATE FUNCTION gtrgm_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gtrgm_penalty';

CREATE FUNCTION gtrgm_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gtrgm_picksplit';

CREATE FUNCTION gtrgm_union(internal, internal) RETURNS gtrgm
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gtrgm_union';

CREATE FUNCTION gtrgm_same(gtrgm, gtrgm, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'gtrgm_same';

CREATE FUNCTION gtrgm_options(internal) RETURNS void
    LANGUAGE internal IMMUTABLE PARALLEL SAFE AS 'gtrgm_options';

CREATE OPERATOR CLASS gist_trgm_ops FOR TYPE text USING gist AS
    OPERATOR 1 % (text, text),
    OPERATOR 2 <-> (text, text) FOR ORDER BY pg_catalog.float_ops,
    OPERATOR 3 pg_catalog.~~ (text, text),
    OPERATOR 4 pg_catalog.~~* (text, text),
    OPERATOR 5 pg_catalog.~ (text, text),
    OPERATOR 6 pg_catalog.~* (text, text),
    OPERATOR 7 %> (text, text),
    OPERATOR 8 <->> (text, text) FOR ORDER BY pg_catalog.float_ops,
    OPERATOR 9 %>> (text, text),
    OPERATOR 10 <->>> (text, text) FOR ORDER BY pg_catalog.float_ops,
    OPERATOR 11 pg_catalog.= (text, text),
    FUNCTION 1 gtrgm_consistent(internal, text, int2, oid, internal),
    FUNCTION 2 gtrgm_union(internal, internal),
    FUNCTION 3 gtrgm_compress(internal),
    FUNCTION 4 gtrgm_decompress(internal),
    FUNCTION 5 gtrgm_penalty(internal, internal, internal),
    FUNCTION 6 gtrgm_picksplit(internal, internal),
    FUNCTION 7 gtrgm_same(gtrgm, gtrgm, internal),
    FUNCTION 8 gtrgm_distance(internal, text, int2, oid, internal),
    FUNCTION 10 gtrgm_options(internal),
    STORAGE gtrgm;

CREATE OPERATOR CLASS gin_trgm_ops FOR TYPE text USING gin AS
    OPERATOR 1 % (text, text),
    OPERATOR 3 pg_catalog.~~ (text, text),
    OPERATOR 4 pg_catalog.~~* (text, text),
    OPERATOR 5 pg_catalog.~ (text, text),
    OPERATOR 6 pg_catalog.~* (text, text),
    OPERATOR 7 %> (text, text),
    OPERATOR 9 %>> (text, text),
    OPERATOR 11 pg_catalog.= (text, text),
    FUNCTION 1 pg_catalog.btint4cmp(int4, int4),
    FUNCTION 2 gin_extract_value_trgm(text, internal),
    FUNCTION 3 gin_extract_query_trgm(text, internal, int2, internal, internal, internal, internal),
    FUNCTION 4 gin_trgm_consistent(internal, int2, text, int4, internal, internal, internal, internal),
    FUNCTION 6 gin_trgm_triconsistent(internal, int2, text, int4, internal, internal, internal),
    STORAGE int4;
