-- unaccent 1.1
CREATE FUNCTION unaccent_init(internal) RETURNS internal
    LANGUAGE internal PARALLEL SAFE AS 'unaccent_init';

CREATE FUNCTION unaccent_lexize(internal, internal, internal, internal) RETURNS internal
    LANGUAGE internal PARALLEL SAFE AS 'unaccent_lexize';

CREATE TEXT SEARCH TEMPLATE unaccent (INIT = unaccent_init, LEXIZE = unaccent_lexize);

CREATE TEXT SEARCH DICTIONARY unaccent (TEMPLATE = unaccent, rules = 'unaccent');

CREATE FUNCTION unaccent(regdictionary, text) RETURNS text
    LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'unaccent_dict';

-- The dictionary is the extension's own, wherever it has been moved to.
CREATE FUNCTION unaccent(text) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    RETURN unaccent('unaccent'::regdictionary, $1);
