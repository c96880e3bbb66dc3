-- ltree 1.2

CREATE TYPE ltree;

CREATE FUNCTION ltree_in(cstring) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_in';

CREATE FUNCTION ltree_out(ltree) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_out';

CREATE FUNCTION ltree_recv(internal) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_recv';

CREATE FUNCTION ltree_send(ltree) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_send';

CREATE TYPE ltree (
    INTERNALLENGTH = VARIABLE, INPUT = ltree_in, OUTPUT = ltree_out, RECEIVE = ltree_recv, SEND = ltree_send, STORAGE = extended
);

CREATE TYPE lquery;

CREATE FUNCTION lquery_in(cstring) RETURNS lquery
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lquery_in';

CREATE FUNCTION lquery_out(lquery) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lquery_out';

CREATE FUNCTION lquery_recv(internal) RETURNS lquery
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lquery_recv';

CREATE FUNCTION lquery_send(lquery) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lquery_send';

CREATE TYPE lquery (
    INTERNALLENGTH = VARIABLE, INPUT = lquery_in, OUTPUT = lquery_out, RECEIVE = lquery_recv, SEND = lquery_send, STORAGE = extended
);

CREATE TYPE ltxtquery;

CREATE FUNCTION ltxtq_in(cstring) RETURNS ltxtquery
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltxtq_in';

CREATE FUNCTION ltxtq_out(ltxtquery) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltxtq_out';

CREATE FUNCTION ltxtq_recv(internal) RETURNS ltxtquery
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltxtq_recv';

CREATE FUNCTION ltxtq_send(ltxtquery) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltxtq_send';

CREATE TYPE ltxtquery (
    INTERNALLENGTH = VARIABLE, INPUT = ltxtq_in, OUTPUT = ltxtq_out, RECEIVE = ltxtq_recv, SEND = ltxtq_send, STORAGE = extended
);

CREATE TYPE ltree_gist;

CREATE FUNCTION ltree_gist_in(cstring) RETURNS ltree_gist
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_gist_in';

CREATE FUNCTION ltree_gist_out(ltree_gist) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_gist_out';

CREATE TYPE ltree_gist (
    INTERNALLENGTH = VARIABLE, INPUT = ltree_gist_in, OUTPUT = ltree_gist_out
);

CREATE FUNCTION ltree_cmp(ltree, ltree) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_cmp';

CREATE FUNCTION ltree_lt(ltree, ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_lt';

CREATE FUNCTION ltree_le(ltree, ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_le';

CREATE FUNCTION ltree_eq(ltree, ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_eq';

CREATE FUNCTION ltree_ge(ltree, ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_ge';

CREATE FUNCTION ltree_gt(ltree, ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_gt';

CREATE FUNCTION ltree_ne(ltree, ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_ne';

CREATE FUNCTION subltree(ltree, integer, integer) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'subltree';

CREATE FUNCTION subpath(ltree, integer, integer) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'subpath';

CREATE FUNCTION subpath(ltree, integer) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'subpath';

CREATE FUNCTION index(ltree, ltree) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_index';

CREATE FUNCTION index(ltree, ltree, integer) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_index';

CREATE FUNCTION nlevel(ltree) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'nlevel';

CREATE FUNCTION ltree2text(ltree) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree2text';

CREATE FUNCTION text2ltree(text) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'text2ltree';

CREATE FUNCTION lca(ltree[]) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_lca';

CREATE FUNCTION lca(ltree, ltree) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lca';

CREATE FUNCTION lca(ltree, ltree, ltree) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lca';

CREATE FUNCTION lca(ltree, ltree, ltree, ltree) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lca';

CREATE FUNCTION lca(ltree, ltree, ltree, ltree, ltree) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lca';

CREATE FUNCTION lca(ltree, ltree, ltree, ltree, ltree, ltree) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lca';

CREATE FUNCTION lca(ltree, ltree, ltree, ltree, ltree, ltree, ltree) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lca';

CREATE FUNCTION lca(ltree, ltree, ltree, ltree, ltree, ltree, ltree, ltree) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lca';

CREATE FUNCTION ltree_isparent(ltree, ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_isparent';

CREATE FUNCTION ltree_risparent(ltree, ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_risparent';

CREATE FUNCTION ltree_addltree(ltree, ltree) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_addltree';

CREATE FUNCTION ltree_addtext(ltree, text) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_addtext';

CREATE FUNCTION ltree_textadd(text, ltree) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_textadd';

CREATE FUNCTION ltreeparentsel(internal, oid, internal, integer) RETURNS double precision
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltreeparentsel';

CREATE FUNCTION ltq_regex(ltree, lquery) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltq_regex';

CREATE FUNCTION ltq_rregex(lquery, ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltq_rregex';

CREATE FUNCTION lt_q_regex(ltree, lquery[]) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lt_q_regex';

CREATE FUNCTION lt_q_rregex(lquery[], ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'lt_q_rregex';

CREATE FUNCTION ltxtq_exec(ltree, ltxtquery) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltxtq_exec';

CREATE FUNCTION ltxtq_rexec(ltxtquery, ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltxtq_rexec';

CREATE FUNCTION ltree_consistent(internal, ltree, smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_consistent';

CREATE FUNCTION ltree_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_compress';

CREATE FUNCTION ltree_decompress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_decompress';

CREATE FUNCTION ltree_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_penalty';

CREATE FUNCTION ltree_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_picksplit';

CREATE FUNCTION ltree_union(internal, internal) RETURNS ltree_gist
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_union';

CREATE FUNCTION ltree_same(ltree_gist, ltree_gist, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'ltree_same';

CREATE FUNCTION _ltree_isparent(ltree[], ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_isparent';

CREATE FUNCTION _ltree_r_isparent(ltree, ltree[]) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_r_isparent';

CREATE FUNCTION _ltree_risparent(ltree[], ltree) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_risparent';

CREATE FUNCTION _ltree_r_risparent(ltree, ltree[]) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_r_risparent';

CREATE FUNCTION _ltq_regex(ltree[], lquery) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltq_regex';

CREATE FUNCTION _ltq_rregex(lquery, ltree[]) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltq_rregex';

CREATE FUNCTION _lt_q_regex(ltree[], lquery[]) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_lt_q_regex';

CREATE FUNCTION _lt_q_rregex(lquery[], ltree[]) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_lt_q_rregex';

CREATE FUNCTION _ltxtq_exec(ltree[], ltxtquery) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltxtq_exec';

CREATE FUNCTION _ltxtq_rexec(ltxtquery, ltree[]) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltxtq_rexec';

CREATE FUNCTION _ltree_extract_isparent(ltree[], ltree) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_extract_isparent';

CREATE FUNCTION _ltree_extract_risparent(ltree[], ltree) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_extract_risparent';

CREATE FUNCTION _ltq_extract_regex(ltree[], lquery) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltq_extract_regex';

CREATE FUNCTION _ltxtq_extract_exec(ltree[], ltxtquery) RETURNS ltree
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltxtq_extract_exec';

CREATE FUNCTION _ltree_consistent(internal, ltree[], smallint, oid, internal) RETURNS boolean
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_consistent';

CREATE FUNCTION _ltree_compress(internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_compress';

CREATE FUNCTION _ltree_penalty(internal, internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_penalty';

CREATE FUNCTION _ltree_picksplit(internal, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_picksplit';

CREATE FUNCTION _ltree_union(internal, internal) RETURNS ltree_gist
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_union';

CREATE FUNCTION _ltree_same(ltree_gist, ltree_gist, internal) RETURNS internal
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '_ltree_same';

CREATE FUNCTION ltree_gist_options(internal) RETURNS void
    LANGUAGE internal IMMUTABLE PARALLEL SAFE AS 'ltree_gist_options';

CREATE FUNCTION _ltree_gist_options(internal) RETURNS void
    LANGUAGE internal IMMUTABLE PARALLEL SAFE AS '_ltree_gist_options';

CREATE OPERATOR > (
    LEFTARG = ltree, RIGHTARG = ltree, FUNCTION = ltree_gt, COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);

CREATE OPERATOR >= (
    LEFTARG = ltree, RIGHTARG = ltree, FUNCTION = ltree_ge, COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel
);

CREATE OPERATOR < (
    LEFTARG = ltree, RIGHTARG = ltree, FUNCTION = ltree_lt, COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);

CREATE OPERATOR <= (
    LEFTARG = ltree, RIGHTARG = ltree, FUNCTION = ltree_le, COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);

CREATE OPERATOR <> (
    LEFTARG = ltree, RIGHTARG = ltree, FUNCTION = ltree_ne, COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel
);

CREATE OPERATOR = (
    LEFTARG = ltree, RIGHTARG = ltree, FUNCTION = ltree_eq, COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, MERGES
);

CREATE OPERATOR <@ (
    LEFTARG = ltree, RIGHTARG = ltree, FUNCTION = ltree_risparent, COMMUTATOR = @>, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR @> (
    LEFTARG = ltree, RIGHTARG = ltree, FUNCTION = ltree_isparent, COMMUTATOR = <@, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^<@ (
    LEFTARG = ltree, RIGHTARG = ltree, FUNCTION = ltree_risparent, COMMUTATOR = ^@>, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^@> (
    LEFTARG = ltree, RIGHTARG = ltree, FUNCTION = ltree_isparent, COMMUTATOR = ^<@, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR || (
    LEFTARG = ltree, RIGHTARG = ltree, FUNCTION = ltree_addltree
);

CREATE OPERATOR || (
    LEFTARG = ltree, RIGHTARG = text, FUNCTION = ltree_addtext
);

CREATE OPERATOR || (
    LEFTARG = text, RIGHTARG = ltree, FUNCTION = ltree_textadd
);

CREATE OPERATOR ~ (
    LEFTARG = lquery, RIGHTARG = ltree, FUNCTION = ltq_rregex, COMMUTATOR = ~, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ~ (
    LEFTARG = ltree, RIGHTARG = lquery, FUNCTION = ltq_regex, COMMUTATOR = ~, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^~ (
    LEFTARG = lquery, RIGHTARG = ltree, FUNCTION = ltq_rregex, COMMUTATOR = ^~, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^~ (
    LEFTARG = ltree, RIGHTARG = lquery, FUNCTION = ltq_regex, COMMUTATOR = ^~, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ? (
    LEFTARG = lquery[], RIGHTARG = ltree, FUNCTION = lt_q_rregex, COMMUTATOR = ?, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ? (
    LEFTARG = ltree, RIGHTARG = lquery[], FUNCTION = lt_q_regex, COMMUTATOR = ?, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^? (
    LEFTARG = lquery[], RIGHTARG = ltree, FUNCTION = lt_q_rregex, COMMUTATOR = ^?, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^? (
    LEFTARG = ltree, RIGHTARG = lquery[], FUNCTION = lt_q_regex, COMMUTATOR = ^?, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR @ (
    LEFTARG = ltxtquery, RIGHTARG = ltree, FUNCTION = ltxtq_rexec, COMMUTATOR = @, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR @ (
    LEFTARG = ltree, RIGHTARG = ltxtquery, FUNCTION = ltxtq_exec, COMMUTATOR = @, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^@ (
    LEFTARG = ltxtquery, RIGHTARG = ltree, FUNCTION = ltxtq_rexec, COMMUTATOR = ^@, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^@ (
    LEFTARG = ltree, RIGHTARG = ltxtquery, FUNCTION = ltxtq_exec, COMMUTATOR = ^@, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR <@ (
    LEFTARG = ltree, RIGHTARG = ltree[], FUNCTION = _ltree_r_isparent, COMMUTATOR = @>, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR @> (
    LEFTARG = ltree[], RIGHTARG = ltree, FUNCTION = _ltree_isparent, COMMUTATOR = <@, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR @> (
    LEFTARG = ltree, RIGHTARG = ltree[], FUNCTION = _ltree_r_risparent, COMMUTATOR = <@, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR <@ (
    LEFTARG = ltree[], RIGHTARG = ltree, FUNCTION = _ltree_risparent, COMMUTATOR = @>, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ~ (
    LEFTARG = lquery, RIGHTARG = ltree[], FUNCTION = _ltq_rregex, COMMUTATOR = ~, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ~ (
    LEFTARG = ltree[], RIGHTARG = lquery, FUNCTION = _ltq_regex, COMMUTATOR = ~, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ? (
    LEFTARG = lquery[], RIGHTARG = ltree[], FUNCTION = _lt_q_rregex, COMMUTATOR = ?, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ? (
    LEFTARG = ltree[], RIGHTARG = lquery[], FUNCTION = _lt_q_regex, COMMUTATOR = ?, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR @ (
    LEFTARG = ltxtquery, RIGHTARG = ltree[], FUNCTION = _ltxtq_rexec, COMMUTATOR = @, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR @ (
    LEFTARG = ltree[], RIGHTARG = ltxtquery, FUNCTION = _ltxtq_exec, COMMUTATOR = @, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^<@ (
    LEFTARG = ltree, RIGHTARG = ltree[], FUNCTION = _ltree_r_isparent, COMMUTATOR = ^@>, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^@> (
    LEFTARG = ltree[], RIGHTARG = ltree, FUNCTION = _ltree_isparent, COMMUTATOR = ^<@, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^@> (
    LEFTARG = ltree, RIGHTARG = ltree[], FUNCTION = _ltree_r_risparent, COMMUTATOR = ^<@, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^<@ (
    LEFTARG = ltree[], RIGHTARG = ltree, FUNCTION = _ltree_risparent, COMMUTATOR = ^@>, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^~ (
    LEFTARG = lquery, RIGHTARG = ltree[], FUNCTION = _ltq_rregex, COMMUTATOR = ^~, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^~ (
    LEFTARG = ltree[], RIGHTARG = lquery, FUNCTION = _ltq_regex, COMMUTATOR = ^~, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^? (
    LEFTARG = lquery[], RIGHTARG = ltree[], FUNCTION = _lt_q_rregex, COMMUTATOR = ^?, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^? (
    LEFTARG = ltree[], RIGHTARG = lquery[], FUNCTION = _lt_q_regex, COMMUTATOR = ^?, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^@ (
    LEFTARG = ltxtquery, RIGHTARG = ltree[], FUNCTION = _ltxtq_rexec, COMMUTATOR = ^@, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ^@ (
    LEFTARG = ltree[], RIGHTARG = ltxtquery, FUNCTION = _ltxtq_exec, COMMUTATOR = ^@, RESTRICT = matchingsel, JOIN = matchingjoinsel
);

CREATE OPERATOR ?@> (
    LEFTARG = ltree[], RIGHTARG = ltree, FUNCTION = _ltree_extract_isparent
);

CREATE OPERATOR ?<@ (
    LEFTARG = ltree[], RIGHTARG = ltree, FUNCTION = _ltree_extract_risparent
);

CREATE OPERATOR ?~ (
    LEFTARG = ltree[], RIGHTARG = lquery, FUNCTION = _ltq_extract_regex
);

CREATE OPERATOR ?@ (
    LEFTARG = ltree[], RIGHTARG = ltxtquery, FUNCTION = _ltxtq_extract_exec
);

CREATE OPERATOR CLASS ltree_ops DEFAULT FOR TYPE ltree USING btree AS
    OPERATOR 1 < (ltree, ltree),
    OPERATOR 2 <= (ltree, ltree),
    OPERATOR 3 = (ltree, ltree),
    OPERATOR 4 >= (ltree, ltree),
    OPERATOR 5 > (ltree, ltree),
    FUNCTION 1 ltree_cmp(ltree,ltree);

CREATE OPERATOR CLASS gist_ltree_ops DEFAULT FOR TYPE ltree USING gist AS
    OPERATOR 1 < (ltree, ltree),
    OPERATOR 2 <= (ltree, ltree),
    OPERATOR 3 = (ltree, ltree),
    OPERATOR 4 >= (ltree, ltree),
    OPERATOR 5 > (ltree, ltree),
    OPERATOR 10 @> (ltree, ltree),
    OPERATOR 11 <@ (ltree, ltree),
    OPERATOR 12 ~ (ltree, lquery),
    OPERATOR 13 ~ (lquery, ltree),
    OPERATOR 14 @ (ltree, ltxtquery),
    OPERATOR 15 @ (ltxtquery, ltree),
    OPERATOR 16 ? (ltree, lquery[]),
    OPERATOR 17 ? (lquery[], ltree),
    FUNCTION 1 ltree_consistent(internal,ltree,smallint,oid,internal),
    FUNCTION 2 ltree_union(internal,internal),
    FUNCTION 3 ltree_compress(internal),
    FUNCTION 4 ltree_decompress(internal),
    FUNCTION 5 ltree_penalty(internal,internal,internal),
    FUNCTION 6 ltree_picksplit(internal,internal),
    FUNCTION 7 ltree_same(ltree_gist,ltree_gist,internal),
    FUNCTION 10 ltree_gist_options(internal),
    STORAGE ltree_gist;

CREATE OPERATOR CLASS gist__ltree_ops DEFAULT FOR TYPE ltree[] USING gist AS
    OPERATOR 10 <@ (ltree[], ltree),
    OPERATOR 11 @> (ltree, ltree[]),
    OPERATOR 12 ~ (ltree[], lquery),
    OPERATOR 13 ~ (lquery, ltree[]),
    OPERATOR 14 @ (ltree[], ltxtquery),
    OPERATOR 15 @ (ltxtquery, ltree[]),
    OPERATOR 16 ? (ltree[], lquery[]),
    OPERATOR 17 ? (lquery[], ltree[]),
    FUNCTION 1 _ltree_consistent(internal,ltree[],smallint,oid,internal),
    FUNCTION 2 _ltree_union(internal,internal),
    FUNCTION 3 _ltree_compress(internal),
    FUNCTION 4 ltree_decompress(internal),
    FUNCTION 5 _ltree_penalty(internal,internal,internal),
    FUNCTION 6 _ltree_picksplit(internal,internal),
    FUNCTION 7 _ltree_same(ltree_gist,ltree_gist,internal),
    FUNCTION 10 _ltree_gist_options(internal),
    STORAGE ltree_gist;
