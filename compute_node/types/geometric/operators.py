"""The operators and casts of the geometric types (pg_operator, pg_cast)."""

from __future__ import annotations

from compute_node.types.declare import casts, operators

operators("""
433 box @> point bool 193 commutator=511
485 polygon << polygon bool 341
486 polygon &< polygon bool 342
487 polygon &> polygon bool 343
488 polygon >> polygon bool 344
489 polygon <@ polygon bool 345 commutator=490
490 polygon @> polygon bool 340 commutator=489
491 polygon ~= polygon bool 339 commutator=491
492 polygon && polygon bool 346 commutator=492
493 box << box bool 188
494 box &< box bool 189
495 box &> box bool 190
496 box >> box bool 191
497 box <@ box bool 192 commutator=498
498 box @> box bool 187 commutator=497
499 box ~= box bool 186 commutator=499
500 box && box bool 125 commutator=500
501 box >= box bool 126 commutator=505 negator=504
502 box > box bool 127 commutator=504 negator=505
503 box = box bool 128 commutator=503
504 box < box bool 129 commutator=502 negator=501
505 box <= box bool 130 commutator=501 negator=502
506 point >^ point bool 131
507 point << point bool 132
508 point >> point bool 133
509 point <^ point bool 134
510 point ~= point bool 135 commutator=510 negator=713
511 point <@ box bool 136 commutator=433
512 point <@ path bool 137 commutator=755
513 - @@ box point 138
517 point <-> point float8 991 commutator=517
606 box <-> point float8 357 commutator=615
613 point <-> line float8 725 commutator=760
614 point <-> lseg float8 363 commutator=761
615 point <-> box float8 364 commutator=606
616 lseg <-> line float8 727 commutator=762
617 lseg <-> box float8 365 commutator=763
618 point <-> path float8 371 commutator=784
706 box <-> box float8 978 commutator=706
707 path <-> path float8 370 commutator=707
708 line <-> line float8 239 commutator=708
709 lseg <-> lseg float8 361 commutator=709
712 polygon <-> polygon float8 729 commutator=712
713 point <> point bool 988 commutator=713 negator=510
731 point + point point 1441 commutator=731
732 point - point point 1442
733 point * point point 1443 commutator=733
734 point / point point 1444
735 path + path path 1435 commutator=735
736 path + point path 1436
737 path - point path 1437
738 path * point path 1438
739 path / point path 1439
755 path @> point bool 1426 commutator=512
756 point <@ polygon bool 1429 commutator=757
757 polygon @> point bool 1428 commutator=756
758 point <@ circle bool 1478 commutator=759
759 circle @> point bool 1477 commutator=758
760 line <-> point float8 702 commutator=613
761 lseg <-> point float8 380 commutator=614
762 line <-> lseg float8 704 commutator=616
763 box <-> lseg float8 381 commutator=617
784 path <-> point float8 421 commutator=618
792 path = path bool 984 commutator=792
793 path < path bool 982 commutator=794
794 path > path bool 983 commutator=793
795 path <= path bool 985 commutator=796
796 path >= path bool 986 commutator=795
797 - # path int4 1432
798 path ?# path bool 973
799 - @-@ path float8 987
800 box >^ box bool 115
801 box <^ box bool 116
802 box ?# box bool 125
803 box # box box 980
804 box + point box 1422
805 box - point box 1423
806 box * point box 1424
807 box / point box 1425
808 point ?- point bool 990 commutator=808
809 point ?| point bool 989 commutator=809
969 - @@ lseg point 225
971 - @@ polygon point 227
1383 polygon <-> circle float8 785 commutator=1523
1420 - @@ circle point 1472
1500 circle = circle bool 1462 commutator=1500 negator=1501
1501 circle <> circle bool 1463 commutator=1501 negator=1500
1502 circle < circle bool 1464 commutator=1503 negator=1505
1503 circle > circle bool 1465 commutator=1502 negator=1504
1504 circle <= circle bool 1466 commutator=1505 negator=1503
1505 circle >= circle bool 1467 commutator=1504 negator=1502
1506 circle << circle bool 1454
1507 circle &< circle bool 1455
1508 circle &> circle bool 1456
1509 circle >> circle bool 1457
1510 circle <@ circle bool 1458 commutator=1511
1511 circle @> circle bool 1453 commutator=1510
1512 circle ~= circle bool 1452 commutator=1512
1513 circle && circle bool 1459 commutator=1513
1514 circle |>> circle bool 1461
1515 circle <<| circle bool 1460
1516 circle + point circle 1146
1517 circle - point circle 1147
1518 circle * point circle 1148
1519 circle / point circle 1149
1520 circle <-> circle float8 1471 commutator=1520
1521 - # polygon int4 1445
1522 point <-> circle float8 1476 commutator=3291
1523 circle <-> polygon float8 728 commutator=1383
1525 lseg ?# lseg bool 994 commutator=1525
1526 lseg ?|| lseg bool 995 commutator=1526
1527 lseg ?-| lseg bool 996 commutator=1527
1528 - ?- lseg bool 998
1529 - ?| lseg bool 997
1535 lseg = lseg bool 999 commutator=1535 negator=1586
1536 lseg # lseg point 362 commutator=1536
1537 lseg ?# line bool 277
1538 lseg ?# box bool 373
1539 line ?# box bool 278
1546 point <@ line bool 959
1547 point <@ lseg bool 369
1548 lseg <@ line bool 960
1549 lseg <@ box bool 372
1557 point ## line point 961
1558 point ## lseg point 366
1559 point ## box point 367
1567 lseg ## box point 368
1577 line ## lseg point 1488
1578 lseg ## lseg point 1489
1586 lseg <> lseg bool 1482 commutator=1586 negator=1535
1587 lseg < lseg bool 1483 commutator=1589 negator=1590
1588 lseg <= lseg bool 1484 commutator=1590 negator=1589
1589 lseg > lseg bool 1485 commutator=1587 negator=1588
1590 lseg >= lseg bool 1486 commutator=1588 negator=1587
1591 - @-@ lseg float8 1487
1611 line ?# line bool 1495 commutator=1611
1612 line ?|| line bool 1496 commutator=1612
1613 line ?-| line bool 1497 commutator=1613
1614 - ?- line bool 1499
1615 - ?| line bool 1498
1616 line = line bool 1492 commutator=1616
1617 line # line point 1494 commutator=1617
2570 box <<| box bool 2562
2571 box &<| box bool 2563
2572 box |&> box bool 2564
2573 box |>> box bool 2565
2574 polygon <<| polygon bool 2566
2575 polygon &<| polygon bool 2567
2576 polygon |&> polygon bool 2568
2577 polygon |>> polygon bool 2569
2589 circle &<| circle bool 2587
2590 circle |&> circle bool 2588
3276 point <-> polygon float8 3275 commutator=3289
3289 polygon <-> point float8 3292 commutator=3276
3291 circle <-> point float8 3290 commutator=1522
4161 point |>> point bool 131
4162 point <<| point bool 134
""")
casts("""
10165 point box 4091 a f
10166 lseg point 1532 e f
10167 path polygon 1449 a f
10168 box point 1534 e f
10169 box lseg 1541 e f
10170 box polygon 1448 a f
10171 box circle 1479 e f
10172 polygon point 1540 e f
10173 polygon path 1447 a f
10174 polygon box 1446 e f
10175 polygon circle 1474 e f
10176 circle point 1416 e f
10177 circle box 1480 e f
10178 circle polygon 1544 e f
""")
