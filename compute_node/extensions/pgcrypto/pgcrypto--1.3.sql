-- pgcrypto 1.3
CREATE FUNCTION digest(text, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_digest';

CREATE FUNCTION digest(bytea, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_digest';

CREATE FUNCTION hmac(text, text, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_hmac';

CREATE FUNCTION hmac(bytea, bytea, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_hmac';

CREATE FUNCTION crypt(text, text) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_crypt';

CREATE FUNCTION gen_salt(text) RETURNS text
    LANGUAGE internal STRICT PARALLEL SAFE AS 'pg_gen_salt';

CREATE FUNCTION gen_salt(text, integer) RETURNS text
    LANGUAGE internal STRICT PARALLEL SAFE AS 'pg_gen_salt_rounds';

CREATE FUNCTION encrypt(bytea, bytea, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_encrypt';

CREATE FUNCTION decrypt(bytea, bytea, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_decrypt';

CREATE FUNCTION encrypt_iv(bytea, bytea, bytea, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_encrypt_iv';

CREATE FUNCTION decrypt_iv(bytea, bytea, bytea, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_decrypt_iv';

CREATE FUNCTION gen_random_bytes(integer) RETURNS bytea
    LANGUAGE internal STRICT PARALLEL SAFE AS 'pg_random_bytes';

CREATE FUNCTION gen_random_uuid() RETURNS uuid
    LANGUAGE internal PARALLEL SAFE AS 'pg_random_uuid';

CREATE FUNCTION pgp_sym_encrypt(text, text) RETURNS bytea
    LANGUAGE internal STRICT PARALLEL SAFE AS 'pgp_sym_encrypt_text';

CREATE FUNCTION pgp_sym_encrypt_bytea(bytea, text) RETURNS bytea
    LANGUAGE internal STRICT PARALLEL SAFE AS 'pgp_sym_encrypt_bytea';

CREATE FUNCTION pgp_sym_encrypt(text, text, text) RETURNS bytea
    LANGUAGE internal STRICT PARALLEL SAFE AS 'pgp_sym_encrypt_text';

CREATE FUNCTION pgp_sym_encrypt_bytea(bytea, text, text) RETURNS bytea
    LANGUAGE internal STRICT PARALLEL SAFE AS 'pgp_sym_encrypt_bytea';

CREATE FUNCTION pgp_sym_decrypt(bytea, text) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_sym_decrypt_text';

CREATE FUNCTION pgp_sym_decrypt_bytea(bytea, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_sym_decrypt_bytea';

CREATE FUNCTION pgp_sym_decrypt(bytea, text, text) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_sym_decrypt_text';

CREATE FUNCTION pgp_sym_decrypt_bytea(bytea, text, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_sym_decrypt_bytea';

CREATE FUNCTION pgp_pub_encrypt(text, bytea) RETURNS bytea
    LANGUAGE internal STRICT PARALLEL SAFE AS 'pgp_pub_encrypt_text';

CREATE FUNCTION pgp_pub_encrypt_bytea(bytea, bytea) RETURNS bytea
    LANGUAGE internal STRICT PARALLEL SAFE AS 'pgp_pub_encrypt_bytea';

CREATE FUNCTION pgp_pub_encrypt(text, bytea, text) RETURNS bytea
    LANGUAGE internal STRICT PARALLEL SAFE AS 'pgp_pub_encrypt_text';

CREATE FUNCTION pgp_pub_encrypt_bytea(bytea, bytea, text) RETURNS bytea
    LANGUAGE internal STRICT PARALLEL SAFE AS 'pgp_pub_encrypt_bytea';

CREATE FUNCTION pgp_pub_decrypt(bytea, bytea) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_pub_decrypt_text';

CREATE FUNCTION pgp_pub_decrypt_bytea(bytea, bytea) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_pub_decrypt_bytea';

CREATE FUNCTION pgp_pub_decrypt(bytea, bytea, text) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_pub_decrypt_text';

CREATE FUNCTION pgp_pub_decrypt_bytea(bytea, bytea, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_pub_decrypt_bytea';

CREATE FUNCTION pgp_pub_decrypt(bytea, bytea, text, text) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_pub_decrypt_text';

CREATE FUNCTION pgp_pub_decrypt_bytea(bytea, bytea, text, text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_pub_decrypt_bytea';

CREATE FUNCTION pgp_key_id(bytea) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_key_id_w';

CREATE FUNCTION armor(bytea) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_armor';

CREATE FUNCTION armor(bytea, text[], text[]) RETURNS text
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_armor';

CREATE FUNCTION dearmor(text) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pg_dearmor';

CREATE FUNCTION pgp_armor_headers(text, OUT key text, OUT value text) RETURNS SETOF record
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'pgp_armor_headers';
