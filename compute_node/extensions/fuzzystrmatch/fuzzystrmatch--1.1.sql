-- fuzzystrmatch 1.1
CREATE FUNCTION levenshtein(text, text) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'levenshtein';

CREATE FUNCTION levenshtein(text, text, integer, integer, integer) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'levenshtein_with_costs';

CREATE FUNCTION levenshtein_less_equal(text, text, integer) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'levenshtein_less_equal';

CREATE FUNCTION levenshtein_less_equal(text, text, integer, integer, integer, integer) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'levenshtein_less_equal_with_costs';

CREATE FUNCTION metaphone(text, integer) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'metaphone';

CREATE FUNCTION soundex(text) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'soundex';

CREATE FUNCTION text_soundex(text) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'soundex';

CREATE FUNCTION difference(text, text) RETURNS integer
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'difference';

CREATE FUNCTION dmetaphone(text) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'dmetaphone';

CREATE FUNCTION dmetaphone_alt(text) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'dmetaphone_alt';
