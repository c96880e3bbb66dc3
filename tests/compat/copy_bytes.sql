-- COPY FROM with bytes that are not in the input's encoding: the line, and what comes before it
CREATE TABLE cb (a int, b text, CHECK (a < 100));
COPY cb FROM PROGRAM 'printf "1\tgood\n2\tb\377\376d\n3\tmore\n"';
SELECT * FROM cb;
COPY cb FROM PROGRAM 'printf "x\tgood\n2\tb\377\376d\n"';
COPY cb FROM PROGRAM 'printf "1,good\n2,b\377d\n"' (FORMAT csv);
COPY cb FROM PROGRAM 'printf "1\tgood\n2\tb\303"';
COPY cb FROM PROGRAM 'printf "1\tgood\n2\tb\303\n"';
COPY cb FROM PROGRAM 'printf "1\tgood\n2\tb\342\202 x\n"';
COPY cb FROM PROGRAM 'printf "1\tgood\n2\tb\364x\n"';
COPY cb FROM PROGRAM 'printf "1\tgood\n2\tb\370xyz\n"';
COPY cb FROM PROGRAM 'printf "1\tgood\n2\tb\000xyz\n"';
COPY cb FROM PROGRAM 'printf "h\344\na\n"' (HEADER);
COPY cb FROM PROGRAM 'printf "1\tgood\n2\tb\377\n"' (ENCODING 'latin1');
COPY cb FROM PROGRAM 'printf "1\tgood\n2\tb\201\377\n"' (ENCODING 'sjis');
COPY cb FROM PROGRAM 'printf "1\tgood\n\\\\.\n2\tb\377\n"';
COPY cb FROM PROGRAM 'printf "500\tgood\n2\tb\377\n"';
SELECT * FROM cb;
DROP TABLE cb;
