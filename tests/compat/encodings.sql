-- Encodings: convert, its errors, names and numbers, COPY's encoding.
SELECT i, pg_encoding_to_char(i), pg_encoding_max_length(i) FROM generate_series(-1, 42) i;
SELECT n, pg_char_to_encoding(n) FROM unnest(ARRAY['utf8', 'UTF-8', 'unicode', 'latin1', 'iso-8859-1', 'ISO88591', 'win1252', 'windows-1252', 'sjis', 'Shift_JIS', 'mskanji', 'euc-jp', 'koi8', 'gbk', 'win936', 'uhc', 'johab', 'nope', '']) n;
SELECT convert_to('äöü€ß', 'LATIN9'), convert_to('日本語ｱ', 'SJIS'), convert_to('日本語ｱ', 'EUC_JP'), convert_to('№①', 'SJIS'), convert_to('№①', 'EUC_JP'), convert_to('中文€', 'GBK'), convert_to('中文😀é', 'GB18030'), convert_to('中文', 'BIG5'), convert_to('中文', 'EUC_TW'), convert_to('한글', 'UHC'), convert_to('한글', 'JOHAB'), convert_to('か゚', 'EUC_JIS_2004'), convert_to('か゚', 'SHIFT_JIS_2004');
SELECT convert_from('\x93fa967b8cea', 'SJIS'), convert_from('\xc6fccbdc', 'EUC_JP'), convert_from('\x81308130', 'GB18030'), convert_from('\xa4f7', 'EUC_JIS_2004'), convert_from('\xe4', 'latin1'), convert_from('\x80', 'win1250');
SELECT convert('\xe9', 'LATIN1', 'UTF8'), convert('\xe9', 'LATIN2', 'WIN1250'), convert('\xd0d2c9', 'KOI8R', 'WIN1251'), convert('\xc6fc', 'EUC_JP', 'SJIS'), convert('', 'UTF8', 'MULE_INTERNAL'), convert('\xff', 'SQL_ASCII', 'LATIN1');
SELECT convert('\xe9', 'LATIN1', 'WIN1252');
SELECT convert('\xe9', 'nope', 'WIN1252');
SELECT convert_to('é', 'nope');
SELECT convert_from('\xff', 'nope');
SELECT length('\xff', 'nope');
SELECT length('\xe697a5e69cac', 'UTF8'), length('\x93fa967b', 'SJIS'), length('\x93fa967b', 'LATIN1'), length('\x81308130', 'GB18030');
SELECT length('\xe697', 'UTF8');
SELECT length('\x93', 'SJIS');
SELECT length('\xe3', 'EUC_JP');
SELECT convert_to('€', 'LATIN1');
SELECT convert_to('é', 'SJIS');
SELECT convert_from('\x81', 'WIN1252');
SELECT convert_from('\x8120', 'SJIS');
SELECT convert_from('\xa1', 'EUC_JP');
SELECT convert_from('\x8ea8c0f5', 'EUC_TW');
SELECT convert_from('\xadf5', 'EUC_JP');
SELECT convert_from('\x00', 'LATIN1');
SELECT convert_from('\x410042', 'SJIS');
SELECT convert('\xe282', 'UTF8', 'LATIN1');
SELECT convert('\xc080', 'UTF8', 'LATIN1');
SELECT convert('\xeda080', 'UTF8', 'LATIN1');
SELECT convert('\xf4908080', 'UTF8', 'LATIN1');
SELECT convert('a', 'UTF8', 'MULE_INTERNAL');
SELECT convert('\xff', 'SQL_ASCII', 'UTF8');
SELECT to_ascii('é', 'LATIN1'), to_ascii('Łódź', 'LATIN2'), to_ascii('é€', 'LATIN9'), to_ascii('é', 'WIN1250'), to_ascii('abc', 8);
SELECT to_ascii('é');
SELECT to_ascii('é', 'KOI8R');
SELECT to_ascii('é', 'nope');
SELECT to_ascii('é', 99);
SET client_encoding = 'nosuch';
SET client_encoding = 'mule_internal';
SET client_encoding = 'unicode';
SHOW client_encoding;
SELECT pg_client_encoding();
SET NAMES 'iso-8859-15';
SHOW client_encoding;
SELECT pg_client_encoding(), chr(8364) = chr(8364), octet_length(chr(8364));
SELECT chr(9731);
SELECT 'a', 1 / 0;
SET client_encoding = 'UTF8';
SELECT 'é€☃';
CREATE TABLE en (a text);
COPY en FROM STDIN (ENCODING 'LATIN1');
Ã©
a\nb
\.
SELECT a, length(a) FROM en;
COPY en TO STDOUT (ENCODING 'LATIN9');
COPY en TO STDOUT (ENCODING 'SJIS');
COPY en TO STDOUT (ENCODING 'nope');
COPY en TO STDOUT (ENCODING 'nope', FORMAT csv);
COPY en FROM STDIN (ENCODING 'EUC_JP');
é
\.
DROP TABLE en;
SELECT normalize(U&'\0061\0308\24D1c', NFC), normalize('ﬁ', NFKC), U&'\00C4\00A4' IS NORMALIZED, 'ﬁ' IS NFKC NORMALIZED, U&'d\0061t\+000061', unistr('\0441\+01F600');
