"""Every operator, one line each: its OID, left type (``-`` for a prefix operator), name, right type, result, and the
OID
of its function, then its commutator, negator, and whether it can merge- and hash-join (PostgreSQL's pg_operator).

An operator is listed when its function is declared; a test compares the list with PostgreSQL's.
"""

from __future__ import annotations

from compute_node.types.oids import TYPE_OIDS
from compute_node.types.registry import REGISTRY, Operator

_OPERATORS = """
15 int4 = int8 bool 852 commutator=416 negator=36 merges hashes
36 int4 <> int8 bool 853 commutator=417 negator=15
37 int4 < int8 bool 854 commutator=419 negator=82
58 bool < bool bool 56 commutator=59 negator=1695
59 bool > bool bool 57 commutator=58 negator=1694
76 int4 > int8 bool 855 commutator=418 negator=80
80 int4 <= int8 bool 856 commutator=430 negator=76
82 int4 >= int8 bool 857 commutator=420 negator=37
85 bool <> bool bool 84 commutator=85 negator=91
91 bool = bool bool 60 commutator=91 negator=85 merges hashes
92 char = char bool 61 commutator=92 negator=630 merges hashes
93 name = name bool 62 commutator=93 negator=643 merges hashes
94 int2 = int2 bool 63 commutator=94 negator=519 merges hashes
95 int2 < int2 bool 64 commutator=520 negator=524
96 int4 = int4 bool 65 commutator=96 negator=518 merges hashes
97 int4 < int4 bool 66 commutator=521 negator=525
98 text = text bool 67 commutator=98 negator=531 merges hashes
254 name = text bool 240 commutator=260 negator=259 merges hashes
255 name < text bool 241 commutator=264 negator=257
256 name <= text bool 242 commutator=263 negator=258
257 name >= text bool 243 commutator=262 negator=255
258 name > text bool 244 commutator=261 negator=256
259 name <> text bool 245 commutator=265 negator=254
260 text = name bool 247 commutator=254 negator=265 merges hashes
261 text < name bool 248 commutator=258 negator=263
262 text <= name bool 249 commutator=257 negator=264
263 text >= name bool 250 commutator=256 negator=261
264 text > name bool 251 commutator=255 negator=262
265 text <> name bool 252 commutator=259 negator=260
349 anycompatiblearray || anycompatible anycompatiblearray 378
352 xid = xid bool 68 commutator=352 negator=3315 hashes
353 xid = int4 bool 1319 negator=3316
374 anycompatible || anycompatiblearray anycompatiblearray 379
375 anycompatiblearray || anycompatiblearray anycompatiblearray 383
385 cid = cid bool 69 commutator=385 hashes
387 tid = tid bool 1292 commutator=387 negator=402 merges hashes
402 tid <> tid bool 1265 commutator=402 negator=387
410 int8 = int8 bool 467 commutator=410 negator=411 merges hashes
411 int8 <> int8 bool 468 commutator=411 negator=410
412 int8 < int8 bool 469 commutator=413 negator=415
413 int8 > int8 bool 470 commutator=412 negator=414
414 int8 <= int8 bool 471 commutator=415 negator=413
415 int8 >= int8 bool 472 commutator=414 negator=412
416 int8 = int4 bool 474 commutator=15 negator=417 merges hashes
417 int8 <> int4 bool 475 commutator=36 negator=416
418 int8 < int4 bool 476 commutator=76 negator=430
419 int8 > int4 bool 477 commutator=37 negator=420
420 int8 <= int4 bool 478 commutator=82 negator=419
430 int8 >= int4 bool 479 commutator=80 negator=418
439 int8 % int8 int8 945
473 - @ int8 int8 1230
484 - - int8 int8 462
514 int4 * int4 int4 141 commutator=514
518 int4 <> int4 bool 144 commutator=518 negator=96
519 int2 <> int2 bool 145 commutator=519 negator=94
520 int2 > int2 bool 146 commutator=95 negator=522
521 int4 > int4 bool 147 commutator=97 negator=523
522 int2 <= int2 bool 148 commutator=524 negator=520
523 int4 <= int4 bool 149 commutator=525 negator=521
524 int2 >= int2 bool 151 commutator=522 negator=95
525 int4 >= int4 bool 150 commutator=523 negator=97
526 int2 * int2 int2 152 commutator=526
527 int2 / int2 int2 153
528 int4 / int4 int4 154
529 int2 % int2 int2 155
530 int4 % int4 int4 156
531 text <> text bool 157 commutator=531 negator=98
532 int2 = int4 bool 158 commutator=533 negator=538 merges hashes
533 int4 = int2 bool 159 commutator=532 negator=539 merges hashes
534 int2 < int4 bool 160 commutator=537 negator=542
535 int4 < int2 bool 161 commutator=536 negator=543
536 int2 > int4 bool 162 commutator=535 negator=540
537 int4 > int2 bool 163 commutator=534 negator=541
538 int2 <> int4 bool 164 commutator=539 negator=532
539 int4 <> int2 bool 165 commutator=538 negator=533
540 int2 <= int4 bool 166 commutator=543 negator=536
541 int4 <= int2 bool 167 commutator=542 negator=537
542 int2 >= int4 bool 168 commutator=541 negator=534
543 int4 >= int2 bool 169 commutator=540 negator=535
544 int2 * int4 int4 170 commutator=545
545 int4 * int2 int4 171 commutator=544
546 int2 / int4 int4 172
547 int4 / int2 int4 173
550 int2 + int2 int2 176 commutator=550
551 int4 + int4 int4 177 commutator=551
552 int2 + int4 int4 178 commutator=553
553 int4 + int2 int4 179 commutator=552
554 int2 - int2 int2 180
555 int4 - int4 int4 181
556 int2 - int4 int4 182
557 int4 - int2 int4 183
558 - - int4 int4 212
559 - - int2 int2 213
584 - - float4 float4 206
585 - - float8 float8 220
586 float4 + float4 float4 204 commutator=586
587 float4 - float4 float4 205
588 float4 / float4 float4 203
589 float4 * float4 float4 202 commutator=589
590 - @ float4 float4 207
591 float8 + float8 float8 218 commutator=591
592 float8 - float8 float8 219
593 float8 / float8 float8 217
594 float8 * float8 float8 216 commutator=594
595 - @ float8 float8 221
596 - |/ float8 float8 230
597 - ||/ float8 float8 231
607 oid = oid bool 184 commutator=607 negator=608 merges hashes
608 oid <> oid bool 185 commutator=608 negator=607
609 oid < oid bool 716 commutator=610 negator=612
610 oid > oid bool 1638 commutator=609 negator=611
611 oid <= oid bool 717 commutator=612 negator=610
612 oid >= oid bool 1639 commutator=611 negator=609
620 float4 = float4 bool 287 commutator=620 negator=621 merges hashes
621 float4 <> float4 bool 288 commutator=621 negator=620
622 float4 < float4 bool 289 commutator=623 negator=625
623 float4 > float4 bool 291 commutator=622 negator=624
624 float4 <= float4 bool 290 commutator=625 negator=623
625 float4 >= float4 bool 292 commutator=624 negator=622
630 char <> char bool 70 commutator=630 negator=92
631 char < char bool 1246 commutator=633 negator=634
632 char <= char bool 72 commutator=634 negator=633
633 char > char bool 73 commutator=631 negator=632
634 char >= char bool 74 commutator=632 negator=631
639 name ~ text bool 79 negator=640
640 name !~ text bool 1252 negator=639
641 text ~ text bool 1254 negator=642
642 text !~ text bool 1256 negator=641
643 name <> name bool 659 commutator=643 negator=93
644 oidvector <> oidvector bool 619 commutator=644 negator=649
645 oidvector < oidvector bool 677 commutator=646 negator=648
646 oidvector > oidvector bool 681 commutator=645 negator=647
647 oidvector <= oidvector bool 678 commutator=648 negator=646
648 oidvector >= oidvector bool 680 commutator=647 negator=645
649 oidvector = oidvector bool 679 commutator=649 negator=644 merges hashes
654 text || text text 1258
660 name < name bool 655 commutator=662 negator=663
661 name <= name bool 656 commutator=663 negator=662
662 name > name bool 657 commutator=660 negator=661
663 name >= name bool 658 commutator=661 negator=660
664 text < text bool 740 commutator=666 negator=667
665 text <= text bool 741 commutator=667 negator=666
666 text > text bool 742 commutator=664 negator=665
667 text >= text bool 743 commutator=665 negator=664
670 float8 = float8 bool 293 commutator=670 negator=671 merges hashes
671 float8 <> float8 bool 294 commutator=671 negator=670
672 float8 < float8 bool 295 commutator=674 negator=675
673 float8 <= float8 bool 296 commutator=675 negator=674
674 float8 > float8 bool 297 commutator=672 negator=673
675 float8 >= float8 bool 298 commutator=673 negator=672
682 - @ int2 int2 1253
684 int8 + int8 int8 463 commutator=684
685 int8 - int8 int8 464
686 int8 * int8 int8 465 commutator=686
687 int8 / int8 int8 466
688 int8 + int4 int8 1274 commutator=692
689 int8 - int4 int8 1275
690 int8 * int4 int8 1276 commutator=694
691 int8 / int4 int8 1277
692 int4 + int8 int8 1278 commutator=688
693 int4 - int8 int8 1279
694 int4 * int8 int8 1280 commutator=690
695 int4 / int8 int8 1281
773 - @ int4 int4 1251
818 int8 + int2 int8 837 commutator=822
819 int8 - int2 int8 838
820 int8 * int2 int8 839 commutator=824
821 int8 / int2 int8 840
822 int2 + int8 int8 841 commutator=818
823 int2 - int8 int8 942
824 int2 * int8 int8 943 commutator=820
825 int2 / int8 int8 948
965 float8 ^ float8 float8 232
1038 numeric ^ numeric numeric 1739
1054 bpchar = bpchar bool 1048 commutator=1054 negator=1057 merges hashes
1055 bpchar ~ text bool 1658 negator=1056
1056 bpchar !~ text bool 1659 negator=1055
1057 bpchar <> bpchar bool 1053 commutator=1057 negator=1054
1058 bpchar < bpchar bool 1049 commutator=1060 negator=1061
1059 bpchar <= bpchar bool 1050 commutator=1061 negator=1060
1060 bpchar > bpchar bool 1051 commutator=1058 negator=1059
1061 bpchar >= bpchar bool 1052 commutator=1059 negator=1058
1070 anyarray = anyarray bool 744 commutator=1070 negator=1071 merges hashes
1071 anyarray <> anyarray bool 390 commutator=1071 negator=1070
1072 anyarray < anyarray bool 391 commutator=1073 negator=1075
1073 anyarray > anyarray bool 392 commutator=1072 negator=1074
1074 anyarray <= anyarray bool 393 commutator=1075 negator=1073
1075 anyarray >= anyarray bool 396 commutator=1074 negator=1072
1076 date + interval timestamp 2071 commutator=2551
1077 date - interval timestamp 2072
1093 date = date bool 1086 commutator=1093 negator=1094 merges hashes
1094 date <> date bool 1091 commutator=1094 negator=1093
1095 date < date bool 1087 commutator=1097 negator=1098
1096 date <= date bool 1088 commutator=1098 negator=1097
1097 date > date bool 1089 commutator=1095 negator=1096
1098 date >= date bool 1090 commutator=1096 negator=1095
1099 date - date int4 1140
1100 date + int4 date 1141 commutator=2555
1101 date - int4 date 1142
1108 time = time bool 1145 commutator=1108 negator=1109 merges hashes
1109 time <> time bool 1106 commutator=1109 negator=1108
1110 time < time bool 1102 commutator=1112 negator=1113
1111 time <= time bool 1103 commutator=1113 negator=1112
1112 time > time bool 1104 commutator=1110 negator=1111
1113 time >= time bool 1105 commutator=1111 negator=1110
1116 float4 + float8 float8 281 commutator=1126
1117 float4 - float8 float8 282
1118 float4 / float8 float8 280
1119 float4 * float8 float8 279 commutator=1129
1120 float4 = float8 bool 299 commutator=1130 negator=1121 merges hashes
1121 float4 <> float8 bool 300 commutator=1131 negator=1120
1122 float4 < float8 bool 301 commutator=1133 negator=1125
1123 float4 > float8 bool 303 commutator=1132 negator=1124
1124 float4 <= float8 bool 302 commutator=1135 negator=1123
1125 float4 >= float8 bool 304 commutator=1134 negator=1122
1126 float8 + float4 float8 285 commutator=1116
1127 float8 - float4 float8 286
1128 float8 / float4 float8 284
1129 float8 * float4 float8 283 commutator=1119
1130 float8 = float4 bool 305 commutator=1120 negator=1131 merges hashes
1131 float8 <> float4 bool 306 commutator=1121 negator=1130
1132 float8 < float4 bool 307 commutator=1123 negator=1135
1133 float8 > float4 bool 309 commutator=1122 negator=1134
1134 float8 <= float4 bool 308 commutator=1125 negator=1133
1135 float8 >= float4 bool 310 commutator=1124 negator=1132
1207 name ~~ text bool 858 negator=1208
1208 name !~~ text bool 859 negator=1207
1209 text ~~ text bool 850 negator=1210
1210 text !~~ text bool 851 negator=1209
1211 bpchar ~~ text bool 1631 negator=1212
1212 bpchar !~~ text bool 1632 negator=1211
1226 name ~* text bool 1240 negator=1227
1227 name !~* text bool 1241 negator=1226
1228 text ~* text bool 1238 negator=1229
1229 text !~* text bool 1239 negator=1228
1234 bpchar ~* text bool 1656 negator=1235
1235 bpchar !~* text bool 1657 negator=1234
1320 timestamptz = timestamptz bool 1152 commutator=1320 negator=1321 merges hashes
1321 timestamptz <> timestamptz bool 1153 commutator=1321 negator=1320
1322 timestamptz < timestamptz bool 1154 commutator=1324 negator=1325
1323 timestamptz <= timestamptz bool 1155 commutator=1325 negator=1324
1324 timestamptz > timestamptz bool 1157 commutator=1322 negator=1323
1325 timestamptz >= timestamptz bool 1156 commutator=1323 negator=1322
1327 timestamptz + interval timestamptz 1189 commutator=2554
1328 timestamptz - timestamptz interval 1188
1329 timestamptz - interval timestamptz 1190
1330 interval = interval bool 1162 commutator=1330 negator=1331 merges hashes
1331 interval <> interval bool 1163 commutator=1331 negator=1330
1332 interval < interval bool 1164 commutator=1334 negator=1335
1333 interval <= interval bool 1165 commutator=1335 negator=1334
1334 interval > interval bool 1167 commutator=1332 negator=1333
1335 interval >= interval bool 1166 commutator=1333 negator=1332
1336 - - interval interval 1168
1337 interval + interval interval 1169 commutator=1337
1338 interval - interval interval 1170
1360 date + time timestamp 1272 commutator=1363
1361 date + timetz timestamptz 1297 commutator=1366
1363 time + date timestamp 1296 commutator=1360
1399 time - time interval 1690
1550 timetz = timetz bool 1352 commutator=1550 negator=1551 merges hashes
1551 timetz <> timetz bool 1353 commutator=1551 negator=1550
1552 timetz < timetz bool 1354 commutator=1554 negator=1555
1553 timetz <= timetz bool 1355 commutator=1555 negator=1554
1554 timetz > timetz bool 1357 commutator=1552 negator=1553
1555 timetz >= timetz bool 1356 commutator=1553 negator=1552
1583 interval * float8 interval 1618 commutator=1584
1584 float8 * interval interval 1624 commutator=1583
1585 interval / float8 interval 1326
1625 name ~~* text bool 1635 negator=1626
1626 name !~~* text bool 1636 negator=1625
1627 text ~~* text bool 1633 negator=1628
1628 text !~~* text bool 1634 negator=1627
1629 bpchar ~~* text bool 1660 negator=1630
1630 bpchar !~~* text bool 1661 negator=1629
1694 bool <= bool bool 1691 commutator=1695 negator=59
1695 bool >= bool bool 1692 commutator=1694 negator=58
1751 - - numeric numeric 1771
1752 numeric = numeric bool 1718 commutator=1752 negator=1753 merges hashes
1753 numeric <> numeric bool 1719 commutator=1753 negator=1752
1754 numeric < numeric bool 1722 commutator=1756 negator=1757
1755 numeric <= numeric bool 1723 commutator=1757 negator=1756
1756 numeric > numeric bool 1720 commutator=1754 negator=1755
1757 numeric >= numeric bool 1721 commutator=1755 negator=1754
1758 numeric + numeric numeric 1724 commutator=1758
1759 numeric - numeric numeric 1725
1760 numeric * numeric numeric 1726 commutator=1760
1761 numeric / numeric numeric 1727
1762 numeric % numeric numeric 1729
1763 - @ numeric numeric 1704
1800 time + interval time 1747 commutator=1849
1801 time - interval time 1748
1849 interval + time time 1848 commutator=1800
1862 int2 = int8 bool 1850 commutator=1868 negator=1863 merges hashes
1863 int2 <> int8 bool 1851 commutator=1869 negator=1862
1864 int2 < int8 bool 1852 commutator=1871 negator=1867
1865 int2 > int8 bool 1853 commutator=1870 negator=1866
1866 int2 <= int8 bool 1854 commutator=1873 negator=1865
1867 int2 >= int8 bool 1855 commutator=1872 negator=1864
1868 int8 = int2 bool 1856 commutator=1862 negator=1869 merges hashes
1869 int8 <> int2 bool 1857 commutator=1863 negator=1868
1870 int8 < int2 bool 1858 commutator=1865 negator=1873
1871 int8 > int2 bool 1859 commutator=1864 negator=1872
1872 int8 <= int2 bool 1860 commutator=1867 negator=1871
1873 int8 >= int2 bool 1861 commutator=1866 negator=1870
1874 int2 & int2 int2 1892 commutator=1874
1875 int2 | int2 int2 1893 commutator=1875
1876 int2 # int2 int2 1894 commutator=1876
1877 - ~ int2 int2 1895
1878 int2 << int4 int2 1896
1879 int2 >> int4 int2 1897
1880 int4 & int4 int4 1898 commutator=1880
1881 int4 | int4 int4 1899 commutator=1881
1882 int4 # int4 int4 1900 commutator=1882
1883 - ~ int4 int4 1901
1884 int4 << int4 int4 1902
1885 int4 >> int4 int4 1903
1886 int8 & int8 int8 1904 commutator=1886
1887 int8 | int8 int8 1905 commutator=1887
1888 int8 # int8 int8 1906 commutator=1888
1889 - ~ int8 int8 1907
1890 int8 << int4 int8 1908
1891 int8 >> int4 int8 1909
1916 - + int8 int8 1910
1917 - + int2 int2 1911
1918 - + int4 int4 1912
1919 - + float4 float4 1913
1920 - + float8 float8 1914
1921 - + numeric numeric 1915
1955 bytea = bytea bool 1948 commutator=1955 negator=1956 merges hashes
1956 bytea <> bytea bool 1953 commutator=1956 negator=1955
1957 bytea < bytea bool 1949 commutator=1959 negator=1960
1958 bytea <= bytea bool 1950 commutator=1960 negator=1959
1959 bytea > bytea bool 1951 commutator=1957 negator=1958
1960 bytea >= bytea bool 1952 commutator=1958 negator=1957
2018 bytea || bytea bytea 2011
2060 timestamp = timestamp bool 2052 commutator=2060 negator=2061 merges hashes
2061 timestamp <> timestamp bool 2053 commutator=2061 negator=2060
2062 timestamp < timestamp bool 2054 commutator=2064 negator=2065
2063 timestamp <= timestamp bool 2055 commutator=2065 negator=2064
2064 timestamp > timestamp bool 2057 commutator=2062 negator=2063
2065 timestamp >= timestamp bool 2056 commutator=2063 negator=2062
2066 timestamp + interval timestamp 2032 commutator=2553
2067 timestamp - timestamp interval 2031
2068 timestamp - interval timestamp 2033
2314 text ~<~ text bool 2160 commutator=2318 negator=2317
2315 text ~<=~ text bool 2161 commutator=2317 negator=2318
2317 text ~>=~ text bool 2163 commutator=2315 negator=2314
2318 text ~>~ text bool 2164 commutator=2314 negator=2315
2326 bpchar ~<~ bpchar bool 2174 commutator=2330 negator=2329
2327 bpchar ~<=~ bpchar bool 2175 commutator=2329 negator=2330
2329 bpchar ~>=~ bpchar bool 2177 commutator=2327 negator=2326
2330 bpchar ~>~ bpchar bool 2178 commutator=2326 negator=2327
2345 date < timestamp bool 2338 commutator=2375 negator=2348
2346 date <= timestamp bool 2339 commutator=2374 negator=2349
2347 date = timestamp bool 2340 commutator=2373 negator=2350 merges
2348 date >= timestamp bool 2342 commutator=2372 negator=2345
2349 date > timestamp bool 2341 commutator=2371 negator=2346
2350 date <> timestamp bool 2343 commutator=2376 negator=2347
2358 date < timestamptz bool 2351 commutator=2388 negator=2361
2359 date <= timestamptz bool 2352 commutator=2387 negator=2362
2360 date = timestamptz bool 2353 commutator=2386 negator=2363 merges
2361 date >= timestamptz bool 2355 commutator=2385 negator=2358
2362 date > timestamptz bool 2354 commutator=2384 negator=2359
2363 date <> timestamptz bool 2356 commutator=2389 negator=2360
2371 timestamp < date bool 2364 commutator=2349 negator=2374
2372 timestamp <= date bool 2365 commutator=2348 negator=2375
2373 timestamp = date bool 2366 commutator=2347 negator=2376 merges
2374 timestamp >= date bool 2368 commutator=2346 negator=2371
2375 timestamp > date bool 2367 commutator=2345 negator=2372
2376 timestamp <> date bool 2369 commutator=2350 negator=2373
2384 timestamptz < date bool 2377 commutator=2362 negator=2387
2385 timestamptz <= date bool 2378 commutator=2361 negator=2388
2386 timestamptz = date bool 2379 commutator=2360 negator=2389 merges
2387 timestamptz >= date bool 2381 commutator=2359 negator=2384
2388 timestamptz > date bool 2380 commutator=2358 negator=2385
2389 timestamptz <> date bool 2382 commutator=2363 negator=2386
2534 timestamp < timestamptz bool 2520 commutator=2544 negator=2537
2535 timestamp <= timestamptz bool 2521 commutator=2543 negator=2538
2536 timestamp = timestamptz bool 2522 commutator=2542 negator=2539 merges
2537 timestamp >= timestamptz bool 2524 commutator=2541 negator=2534
2538 timestamp > timestamptz bool 2523 commutator=2540 negator=2535
2539 timestamp <> timestamptz bool 2525 commutator=2545 negator=2536
2540 timestamptz < timestamp bool 2527 commutator=2538 negator=2543
2541 timestamptz <= timestamp bool 2528 commutator=2537 negator=2544
2542 timestamptz = timestamp bool 2529 commutator=2536 negator=2545 merges
2543 timestamptz >= timestamp bool 2531 commutator=2535 negator=2540
2544 timestamptz > timestamp bool 2530 commutator=2534 negator=2541
2545 timestamptz <> timestamp bool 2532 commutator=2539 negator=2542
2551 interval + date timestamp 2546 commutator=1076
2553 interval + timestamp timestamp 2548 commutator=2066
2554 interval + timestamptz timestamptz 2549 commutator=1327
2555 int4 + date date 2550 commutator=1100
2750 anyarray && anyarray bool 2747 commutator=2750
2751 anyarray @> anyarray bool 2748 commutator=2752
2752 anyarray <@ anyarray bool 2749 commutator=2751
2779 text || anynonarray text 2003
2780 anynonarray || text text 2004
2799 tid < tid bool 2791 commutator=2800 negator=2802
2800 tid > tid bool 2790 commutator=2799 negator=2801
2801 tid <= tid bool 2793 commutator=2802 negator=2800
2802 tid >= tid bool 2792 commutator=2801 negator=2799
2972 uuid = uuid bool 2956 commutator=2972 negator=2973 merges hashes
2973 uuid <> uuid bool 2959 commutator=2973 negator=2972
2974 uuid < uuid bool 2954 commutator=2975 negator=2977
2975 uuid > uuid bool 2958 commutator=2974 negator=2976
2976 uuid <= uuid bool 2955 commutator=2977 negator=2975
2977 uuid >= uuid bool 2957 commutator=2976 negator=2974
2988 record = record bool 2981 commutator=2988 negator=2989 merges hashes
2989 record <> record bool 2982 commutator=2989 negator=2988
2990 record < record bool 2983 commutator=2991 negator=2993
2991 record > record bool 2984 commutator=2990 negator=2992
2992 record <= record bool 2985 commutator=2993 negator=2991
2993 record >= record bool 2986 commutator=2992 negator=2990
3222 pg_lsn = pg_lsn bool 3233 commutator=3222 negator=3223 merges hashes
3223 pg_lsn <> pg_lsn bool 3236 commutator=3223 negator=3222
3224 pg_lsn < pg_lsn bool 3231 commutator=3225 negator=3227
3225 pg_lsn > pg_lsn bool 3235 commutator=3224 negator=3226
3226 pg_lsn <= pg_lsn bool 3232 commutator=3227 negator=3225
3227 pg_lsn >= pg_lsn bool 3234 commutator=3226 negator=3224
3228 pg_lsn - pg_lsn numeric 3237
3315 xid <> xid bool 3308 commutator=3315 negator=352
3316 xid <> int4 bool 3309 negator=353
3877 text ^@ text bool 3696
5068 xid8 = xid8 bool 5084 commutator=5068 negator=5072 merges hashes
5072 xid8 <> xid8 bool 5085 commutator=5072 negator=5068
5073 xid8 < xid8 bool 5034 commutator=5074 negator=5076
5074 xid8 > xid8 bool 5035 commutator=5073 negator=5075
5075 xid8 <= xid8 bool 5036 commutator=5076 negator=5074
5076 xid8 >= xid8 bool 5037 commutator=5075 negator=5073
"""


def _declare(line: str) -> None:
    oid, left, name, right, result, function, *flags = line.split()
    links = dict(flag.split("=") for flag in flags if "=" in flag)
    REGISTRY.add_operator(
        Operator(
            oid=int(oid),
            name=name,
            left=0 if left == "-" else TYPE_OIDS[left],
            right=TYPE_OIDS[right],
            result=TYPE_OIDS[result],
            function=int(function),
            commutator=int(links.get("commutator", 0)),
            negator=int(links.get("negator", 0)),
            can_merge="merges" in flags,
            can_hash="hashes" in flags,
        )
    )


for _line in _OPERATORS.strip().splitlines():
    _declare(_line)
