-- pg_trgm 1.6, without operator classes of indexes
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
