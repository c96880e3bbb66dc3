"""Operator classes of GIN, GiST, SP-GiST and BRIN: the operators that an index of each can serve.

Facts of PostgreSQL 15 (pg_opclass, pg_amop, pg_amproc). The code of a class is beside its access method, in
``compute_node/access``. Members are ``number:oid``, by strategy and by number of the support function; ``-``: none.
"""

from compute_node.types.declare import family_operators, ordering_operators, sparse_operator_classes

# gin
sparse_operator_classes(
    """
10064 array_ops 2745 array_ops anyarray 2742 default
  1:2750,2:2751,3:2752,4:1070
  2:2743,3:2774,4:2744,6:3920
10073 tsvector_ops 3659 tsvector_ops tsvector 2742 default
  -
  1:3724,2:3656,3:3657,4:3658,5:2700,6:3921
10090 jsonb_ops 4036 jsonb_ops jsonb 2742 default
  7:3246
  1:3480,2:3482,3:3483,4:3484,6:3488
10091 jsonb_path_ops 4037 jsonb_path_ops jsonb 2742 extra
  7:3246
  1:351,2:3485,3:3486,4:3487,6:3489
"""
)
family_operators(
    """
3659 2742 tsvector tsquery 1:3636,2:3660
4036 2742 jsonb text[] 10:3248,11:3249
4036 2742 jsonb jsonpath 15:4012,16:4013
4036 2742 jsonb text 9:3247
4037 2742 jsonb jsonpath 15:4012,16:4013
"""
)
# gist
sparse_operator_classes(
    """
10017 inet_ops 3550 network_ops inet 783 extra
  3:3552,18:1201,19:1202,20:1203,21:1204,22:1205,23:1206,24:931,25:932,26:933,27:934
  1:3553,2:3554,3:3555,5:3557,6:3558,7:3559,9:3573
10060 box_ops 2593 box_ops box 783 default
  1:493,2:494,3:500,4:495,5:496,6:499,7:498,8:497,9:2571,10:2570,11:2573,12:2572
  1:2578,2:2583,5:2581,6:2582,7:2584,8:3998
10061 point_ops 1029 point_ops point 783 default
  1:507,5:508,6:510,10:4162,11:4161,29:509,30:506
  1:2179,2:2583,3:1030,5:2581,6:2582,7:2584,8:3064,9:3282,11:3435
10062 poly_ops 2594 poly_ops polygon 783 default
  1:485,2:486,3:492,4:487,5:488,6:491,7:490,8:489,9:2575,10:2574,11:2577,12:2576
  1:2585,2:2583,3:2586,5:2581,6:2582,7:2584,8:3288
10063 circle_ops 2595 circle_ops circle 783 default
  1:1506,2:1507,3:1513,4:1508,5:1509,6:1512,7:1511,8:1510,9:2589,10:1515,11:1514,12:2590
  1:2591,2:2583,3:2592,5:2581,6:2582,7:2584,8:3280
10072 tsvector_ops 3655 tsvector_ops tsvector 783 default
  -
  1:3654,2:3651,3:3648,4:3649,5:3653,6:3650,7:3652,10:3434
10075 tsquery_ops 3702 tsquery_ops tsquery 783 default
  7:3693,8:3694
  1:3701,2:3698,3:3695,5:3700,6:3697,7:3699
10078 range_ops 3919 range_ops anyrange 783 default
  1:3893,2:3895,3:3888,4:3896,5:3894,6:3897,7:3890,8:3892,18:3882
  1:3875,2:3876,5:3879,6:3880,7:3881
10082 multirange_ops 6158 multirange_ops anymultirange 783 default
  1:4397,2:2877,3:2868,4:4142,5:4400,6:4198,7:2871,8:2874,18:2860
  1:6154,2:3876,3:6156,5:3879,6:3880,7:3881
"""
)
family_operators(
    """
1029 783 point box 28:511
1029 783 point circle 68:758
1029 783 point polygon 48:756
3655 783 tsvector tsquery 1:3636
3919 783 anyrange anyelement 16:3889
3919 783 anyrange anymultirange 1:4395,2:2875,3:2866,4:3585,5:4398,6:4179,7:4539,8:2873
6158 783 anymultirange anyelement 16:2869
6158 783 anymultirange anyrange 1:4396,2:2876,3:2867,4:4035,5:4399,6:4180,7:2870,8:4540
"""
)
# spgist
sparse_operator_classes(
    """
10018 inet_ops 3794 network_ops inet 4000 default
  3:3552,18:1201,19:1202,20:1203,21:1204,22:1205,23:1206,24:931,25:932,26:933,27:934
  1:3795,2:3796,3:3797,4:3798,5:3799
10079 range_ops 3474 range_ops anyrange 4000 default
  1:3893,2:3895,3:3888,4:3896,5:3894,6:3897,7:3890,8:3892,18:3882
  1:3469,2:3470,3:3471,4:3472,5:3473
10083 box_ops 5000 box_ops box 4000 default
  1:493,2:494,3:500,4:495,5:496,6:499,7:498,8:497,9:2571,10:2570,11:2573,12:2572
  1:5012,2:5013,3:5014,4:5015,5:5016
10084 quad_point_ops 4015 quad_point_ops point 4000 default
  1:507,5:508,6:510,10:4162,11:4161,29:509,30:506
  1:4018,2:4019,3:4020,4:4021,5:4022
10085 kd_point_ops 4016 kd_point_ops point 4000 extra
  1:507,5:508,6:510,10:4162,11:4161,29:509,30:506
  1:4023,2:4024,3:4025,4:4026,5:4022
10086 text_ops 4017 text_ops text 4000 default
  1:2314,2:2315,3:98,4:2317,5:2318,11:664,12:665,14:667,15:666,28:3877
  1:4027,2:4028,3:4029,4:4030,5:4031
10087 poly_ops 5008 poly_ops polygon 4000 default
  1:485,2:486,3:492,4:487,5:488,6:491,7:490,8:489,9:2575,10:2574,11:2577,12:2576
  1:5010,2:5013,3:5014,4:5015,5:5016,6:5011
"""
)
family_operators(
    """
3474 4000 anyrange anyelement 16:3889
4015 4000 point box 8:511
4016 4000 point box 8:511
"""
)
# brin
sparse_operator_classes(
    """
10092 bytea_minmax_ops 4064 bytea_minmax_ops bytea 3580 default
  1:1957,2:1958,3:1955,4:1960,5:1959
  1:3383,2:3384,3:3385,4:3386
10093 bytea_bloom_ops 4578 bytea_bloom_ops bytea 3580 extra
  1:1955
  1:4591,2:4592,3:4593,4:4594,5:4595,11:456
10094 char_minmax_ops 4062 char_minmax_ops char 3580 default
  1:631,2:632,3:92,4:634,5:633
  1:3383,2:3384,3:3385,4:3386
10095 char_bloom_ops 4577 char_bloom_ops char 3580 extra
  1:92
  1:4591,2:4592,3:4593,4:4594,5:4595,11:454
10096 name_minmax_ops 4065 name_minmax_ops name 3580 default
  1:660,2:661,3:93,4:663,5:662
  1:3383,2:3384,3:3385,4:3386
10097 name_bloom_ops 4579 name_bloom_ops name 3580 extra
  1:93
  1:4591,2:4592,3:4593,4:4594,5:4595,11:455
10098 int8_minmax_ops 4054 integer_minmax_ops int8 3580 default
  1:412,2:414,3:410,4:415,5:413
  1:3383,2:3384,3:3385,4:3386
10099 int8_minmax_multi_ops 4602 integer_minmax_multi_ops int8 3580 extra
  1:412,2:414,3:410,4:415,5:413
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4623
10100 int8_bloom_ops 4572 integer_bloom_ops int8 3580 extra
  1:410
  1:4591,2:4592,3:4593,4:4594,5:4595,11:949
10101 int2_minmax_ops 4054 integer_minmax_ops int2 3580 default
  1:95,2:522,3:94,4:524,5:520
  1:3383,2:3384,3:3385,4:3386
10102 int2_minmax_multi_ops 4602 integer_minmax_multi_ops int2 3580 extra
  1:95,2:522,3:94,4:524,5:520
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4621
10103 int2_bloom_ops 4572 integer_bloom_ops int2 3580 extra
  1:94
  1:4591,2:4592,3:4593,4:4594,5:4595,11:449
10104 int4_minmax_ops 4054 integer_minmax_ops int4 3580 default
  1:97,2:523,3:96,4:525,5:521
  1:3383,2:3384,3:3385,4:3386
10105 int4_minmax_multi_ops 4602 integer_minmax_multi_ops int4 3580 extra
  1:97,2:523,3:96,4:525,5:521
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4622
10106 int4_bloom_ops 4572 integer_bloom_ops int4 3580 extra
  1:96
  1:4591,2:4592,3:4593,4:4594,5:4595,11:450
10107 text_minmax_ops 4056 text_minmax_ops text 3580 default
  1:664,2:665,3:98,4:667,5:666
  1:3383,2:3384,3:3385,4:3386
10108 text_bloom_ops 4573 text_bloom_ops text 3580 extra
  1:98
  1:4591,2:4592,3:4593,4:4594,5:4595,11:400
10109 oid_minmax_ops 4068 oid_minmax_ops oid 3580 default
  1:609,2:611,3:607,4:612,5:610
  1:3383,2:3384,3:3385,4:3386
10110 oid_minmax_multi_ops 4606 oid_minmax_multi_ops oid 3580 extra
  1:609,2:611,3:607,4:612,5:610
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4622
10111 oid_bloom_ops 4580 oid_bloom_ops oid 3580 extra
  1:607
  1:4591,2:4592,3:4593,4:4594,5:4595,11:453
10112 tid_minmax_ops 4069 tid_minmax_ops tid 3580 default
  1:2799,2:2801,3:387,4:2802,5:2800
  1:3383,2:3384,3:3385,4:3386
10113 tid_bloom_ops 4581 tid_bloom_ops tid 3580 extra
  1:387
  1:4591,2:4592,3:4593,4:4594,5:4595,11:2233
10114 tid_minmax_multi_ops 4607 tid_minmax_multi_ops tid 3580 extra
  1:2799,2:2801,3:387,4:2802,5:2800
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4627
10115 float4_minmax_ops 4070 float_minmax_ops float4 3580 default
  1:622,2:624,3:620,4:625,5:623
  1:3383,2:3384,3:3385,4:3386
10116 float4_minmax_multi_ops 4608 float_minmax_multi_ops float4 3580 extra
  1:622,2:624,3:620,4:625,5:623
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4624
10117 float4_bloom_ops 4582 float_bloom_ops float4 3580 extra
  1:620
  1:4591,2:4592,3:4593,4:4594,5:4595,11:451
10118 float8_minmax_ops 4070 float_minmax_ops float8 3580 default
  1:672,2:673,3:670,4:675,5:674
  1:3383,2:3384,3:3385,4:3386
10119 float8_minmax_multi_ops 4608 float_minmax_multi_ops float8 3580 extra
  1:672,2:673,3:670,4:675,5:674
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4625
10120 float8_bloom_ops 4582 float_bloom_ops float8 3580 extra
  1:670
  1:4591,2:4592,3:4593,4:4594,5:4595,11:452
10121 macaddr_minmax_ops 4074 macaddr_minmax_ops macaddr 3580 default
  1:1222,2:1223,3:1220,4:1225,5:1224
  1:3383,2:3384,3:3385,4:3386
10122 macaddr_minmax_multi_ops 4609 macaddr_minmax_multi_ops macaddr 3580 extra
  1:1222,2:1223,3:1220,4:1225,5:1224
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4634
10123 macaddr_bloom_ops 4583 macaddr_bloom_ops macaddr 3580 extra
  1:1220
  1:4591,2:4592,3:4593,4:4594,5:4595,11:399
10124 macaddr8_minmax_ops 4109 macaddr8_minmax_ops macaddr8 3580 default
  1:3364,2:3365,3:3362,4:3367,5:3366
  1:3383,2:3384,3:3385,4:3386
10125 macaddr8_minmax_multi_ops 4610 macaddr8_minmax_multi_ops macaddr8 3580 extra
  1:3364,2:3365,3:3362,4:3367,5:3366
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4635
10126 macaddr8_bloom_ops 4584 macaddr8_bloom_ops macaddr8 3580 extra
  1:3362
  1:4591,2:4592,3:4593,4:4594,5:4595,11:328
10127 inet_minmax_ops 4075 network_minmax_ops inet 3580 extra
  1:1203,2:1204,3:1201,4:1206,5:1205
  1:3383,2:3384,3:3385,4:3386
10128 inet_minmax_multi_ops 4611 network_minmax_multi_ops inet 3580 extra
  1:1203,2:1204,3:1201,4:1206,5:1205
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4636
10129 inet_bloom_ops 4585 network_bloom_ops inet 3580 extra
  1:1201
  1:4591,2:4592,3:4593,4:4594,5:4595,11:422
10130 inet_inclusion_ops 4102 network_inclusion_ops inet 3580 default
  3:3552,7:934,8:932,18:1201,24:933,26:931
  1:4105,2:4106,3:4107,4:4108,11:4063,12:4071,13:930
10131 bpchar_minmax_ops 4076 bpchar_minmax_ops bpchar 3580 default
  1:1058,2:1059,3:1054,4:1061,5:1060
  1:3383,2:3384,3:3385,4:3386
10132 bpchar_bloom_ops 4586 bpchar_bloom_ops bpchar 3580 extra
  1:1054
  1:4591,2:4592,3:4593,4:4594,5:4595,11:1080
10133 time_minmax_ops 4077 time_minmax_ops time 3580 default
  1:1110,2:1111,3:1108,4:1113,5:1112
  1:3383,2:3384,3:3385,4:3386
10134 time_minmax_multi_ops 4612 time_minmax_multi_ops time 3580 extra
  1:1110,2:1111,3:1108,4:1113,5:1112
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4630
10135 time_bloom_ops 4587 time_bloom_ops time 3580 extra
  1:1108
  1:4591,2:4592,3:4593,4:4594,5:4595,11:1688
10136 date_minmax_ops 4059 datetime_minmax_ops date 3580 default
  1:1095,2:1096,3:1093,4:1098,5:1097
  1:3383,2:3384,3:3385,4:3386
10137 date_minmax_multi_ops 4605 datetime_minmax_multi_ops date 3580 extra
  1:1095,2:1096,3:1093,4:1098,5:1097
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4629
10138 date_bloom_ops 4576 datetime_bloom_ops date 3580 extra
  1:1093
  1:4591,2:4592,3:4593,4:4594,5:4595,11:450
10139 timestamp_minmax_ops 4059 datetime_minmax_ops timestamp 3580 default
  1:2062,2:2063,3:2060,4:2065,5:2064
  1:3383,2:3384,3:3385,4:3386
10140 timestamp_minmax_multi_ops 4605 datetime_minmax_multi_ops timestamp 3580 extra
  1:2062,2:2063,3:2060,4:2065,5:2064
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4637
10141 timestamp_bloom_ops 4576 datetime_bloom_ops timestamp 3580 extra
  1:2060
  1:4591,2:4592,3:4593,4:4594,5:4595,11:2039
10142 timestamptz_minmax_ops 4059 datetime_minmax_ops timestamptz 3580 default
  1:1322,2:1323,3:1320,4:1325,5:1324
  1:3383,2:3384,3:3385,4:3386
10143 timestamptz_minmax_multi_ops 4605 datetime_minmax_multi_ops timestamptz 3580 extra
  1:1322,2:1323,3:1320,4:1325,5:1324
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4637
10144 timestamptz_bloom_ops 4576 datetime_bloom_ops timestamptz 3580 extra
  1:1320
  1:4591,2:4592,3:4593,4:4594,5:4595,11:2039
10145 interval_minmax_ops 4078 interval_minmax_ops interval 3580 default
  1:1332,2:1333,3:1330,4:1335,5:1334
  1:3383,2:3384,3:3385,4:3386
10146 interval_minmax_multi_ops 4613 interval_minmax_multi_ops interval 3580 extra
  1:1332,2:1333,3:1330,4:1335,5:1334
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4631
10147 interval_bloom_ops 4588 interval_bloom_ops interval 3580 extra
  1:1330
  1:4591,2:4592,3:4593,4:4594,5:4595,11:1697
10148 timetz_minmax_ops 4058 timetz_minmax_ops timetz 3580 default
  1:1552,2:1553,3:1550,4:1555,5:1554
  1:3383,2:3384,3:3385,4:3386
10149 timetz_minmax_multi_ops 4604 timetz_minmax_multi_ops timetz 3580 extra
  1:1552,2:1553,3:1550,4:1555,5:1554
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4632
10150 timetz_bloom_ops 4575 timetz_bloom_ops timetz 3580 extra
  1:1550
  1:4591,2:4592,3:4593,4:4594,5:4595,11:1696
10151 bit_minmax_ops 4079 bit_minmax_ops bit 3580 default
  1:1786,2:1788,3:1784,4:1789,5:1787
  1:3383,2:3384,3:3385,4:3386
10152 varbit_minmax_ops 4080 varbit_minmax_ops varbit 3580 default
  1:1806,2:1808,3:1804,4:1809,5:1807
  1:3383,2:3384,3:3385,4:3386
10153 numeric_minmax_ops 4055 numeric_minmax_ops numeric 3580 default
  1:1754,2:1755,3:1752,4:1757,5:1756
  1:3383,2:3384,3:3385,4:3386
10154 numeric_minmax_multi_ops 4603 numeric_minmax_multi_ops numeric 3580 extra
  1:1754,2:1755,3:1752,4:1757,5:1756
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4626
10155 numeric_bloom_ops 4574 numeric_bloom_ops numeric 3580 extra
  1:1752
  1:4591,2:4592,3:4593,4:4594,5:4595,11:432
10156 uuid_minmax_ops 4081 uuid_minmax_ops uuid 3580 default
  1:2974,2:2976,3:2972,4:2977,5:2975
  1:3383,2:3384,3:3385,4:3386
10157 uuid_minmax_multi_ops 4614 uuid_minmax_multi_ops uuid 3580 extra
  1:2974,2:2976,3:2972,4:2977,5:2975
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4628
10158 uuid_bloom_ops 4589 uuid_bloom_ops uuid 3580 extra
  1:2972
  1:4591,2:4592,3:4593,4:4594,5:4595,11:2963
10159 range_inclusion_ops 4103 range_inclusion_ops anyrange 3580 default
  1:3893,2:3895,3:3888,4:3896,5:3894,7:3890,8:3892,17:3897,18:3882,20:3884,21:3885,22:3887,23:3886
  1:4105,2:4106,3:4107,4:4108,11:4057,13:3859,14:3850
10160 pg_lsn_minmax_ops 4082 pg_lsn_minmax_ops pg_lsn 3580 default
  1:3224,2:3226,3:3222,4:3227,5:3225
  1:3383,2:3384,3:3385,4:3386
10161 pg_lsn_minmax_multi_ops 4615 pg_lsn_minmax_multi_ops pg_lsn 3580 extra
  1:3224,2:3226,3:3222,4:3227,5:3225
  1:4616,2:4617,3:4618,4:4619,5:4620,11:4633
10162 pg_lsn_bloom_ops 4590 pg_lsn_bloom_ops pg_lsn 3580 extra
  1:3222
  1:4591,2:4592,3:4593,4:4594,5:4595,11:3252
10163 box_inclusion_ops 4104 box_inclusion_ops box 3580 default
  1:493,2:494,3:500,4:495,5:496,6:499,7:498,8:497,9:2571,10:2570,11:2573,12:2572
  1:4105,2:4106,3:4107,4:4108,11:4067,13:187
"""
)
family_operators(
    """
4054 3580 int2 int4 1:534,2:540,3:532,4:542,5:536
4054 3580 int2 int8 1:1864,2:1866,3:1862,4:1867,5:1865
4054 3580 int4 int2 1:535,2:541,3:533,4:543,5:537
4054 3580 int4 int8 1:37,2:80,3:15,4:82,5:76
4054 3580 int8 int2 1:1870,2:1872,3:1868,4:1873,5:1871
4054 3580 int8 int4 1:418,2:420,3:416,4:430,5:419
4059 3580 date timestamp 1:2345,2:2346,3:2347,4:2348,5:2349
4059 3580 date timestamptz 1:2358,2:2359,3:2360,4:2361,5:2362
4059 3580 timestamp date 1:2371,2:2372,3:2373,4:2374,5:2375
4059 3580 timestamp timestamptz 1:2534,2:2535,3:2536,4:2537,5:2538
4059 3580 timestamptz date 1:2384,2:2385,3:2386,4:2387,5:2388
4059 3580 timestamptz timestamp 1:2540,2:2541,3:2542,4:2543,5:2544
4070 3580 float4 float8 1:1122,2:1124,3:1120,4:1125,5:1123
4070 3580 float8 float4 1:1132,2:1134,3:1130,4:1135,5:1133
4103 3580 anyrange anyelement 16:3889
4104 3580 box point 7:433
4602 3580 int2 int4 1:534,2:540,3:532,4:542,5:536
4602 3580 int2 int8 1:1864,2:1866,3:1862,4:1867,5:1865
4602 3580 int4 int2 1:535,2:541,3:533,4:543,5:537
4602 3580 int4 int8 1:37,2:80,3:15,4:82,5:76
4602 3580 int8 int2 1:1870,2:1872,3:1868,4:1873,5:1871
4602 3580 int8 int4 1:418,2:420,3:416,4:430,5:419
4605 3580 date timestamp 1:2345,2:2346,3:2347,4:2348,5:2349
4605 3580 date timestamptz 1:2358,2:2359,3:2360,4:2361,5:2362
4605 3580 timestamp date 1:2371,2:2372,3:2373,4:2374,5:2375
4605 3580 timestamp timestamptz 1:2534,2:2535,3:2536,4:2537,5:2538
4605 3580 timestamptz date 1:2384,2:2385,3:2386,4:2387,5:2388
4605 3580 timestamptz timestamp 1:2540,2:2541,3:2542,4:2543,5:2544
4608 3580 float4 float8 1:1122,2:1124,3:1120,4:1125,5:1123
4608 3580 float8 float4 1:1132,2:1134,3:1130,4:1135,5:1133
"""
)
ordering_operators(
    """
1029 517 15
2593 606 15
2594 3289 15
2595 3291 15
4015 517 15
4016 517 15
5000 606 15
5008 3289 15
"""
)
