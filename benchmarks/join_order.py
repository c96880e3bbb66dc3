"""Joins of five to ten tables in the shapes of the Join Order Benchmark beside PostgreSQL: ``python -m
benchmarks.join_order``.

    python -m benchmarks.join_order [--size 1.0] [--rounds 3] [--json FILE] [--ours] [name …]

```
country ◄─ city ◄─ venue ◄─ concert ◄─ setlist ─► song ─► writing ─► person
   ▲                          │  ▲                  │                  ▲
   └──────── band ◄───────────┘  └─ ticket          └─► genre          │
              ▲  ▲─ member ────────────────────────────────────────────┘
              └─ label
```

The data are made by both servers from the same formulas: values are skewed (a few bands give most concerts) and columns
of a table depend on each other (a band's genre and country), which is what makes the order of joins hard to choose. For
each query two times are measured: of the whole, and of planning alone (EXPLAIN).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.beside import (
    OURS,
    Connections,
    Query,
    Timing,
    answer,
    measure,
    report,
    run_all,
    running,
    total,
)

BANDS = 2_000
TABLES = (
    *("country", "genre", "label", "band", "person", "member", "city"),
    *("venue", "concert", "song", "writing", "setlist", "ticket"),
)
PLAN_S_MAX = 0.05
"""of a ten-way join"""


def schema(size: float) -> list[str]:
    """Tables and rows: ``size`` 1 has 60,000 entries of set lists."""
    bands = max(int(BANDS * size), 40)
    people, songs, concerts = bands * 4, bands * 8, bands * 5
    # a third of the rows are of a thirtieth of the bands
    by_band = f"(1 + floor(power((i * 7919 % 10007) / 10007.0, 3) * {bands}))::int"
    return [
        f"DROP TABLE IF EXISTS {', '.join(TABLES)}",
        "CREATE TABLE country (id int PRIMARY KEY, name text NOT NULL, continent text NOT NULL)",
        "INSERT INTO country SELECT i, 'country ' || i, (ARRAY['Africa', 'America', 'Asia', 'Europe'])[1 + i % 4] "
        "FROM generate_series(1, 40) i",
        "CREATE TABLE genre (id int PRIMARY KEY, name text NOT NULL)",
        "INSERT INTO genre SELECT i, 'genre ' || i FROM generate_series(1, 20) i",
        "CREATE TABLE label (id int PRIMARY KEY, name text NOT NULL, country_id int NOT NULL)",
        "INSERT INTO label SELECT i, 'label ' || i, 1 + i * 13 % 40 FROM generate_series(1, 100) i",
        "CREATE TABLE band (id int PRIMARY KEY, name text NOT NULL, founded int, country_id int NOT NULL, "
        "genre_id int NOT NULL, label_id int)",
        "INSERT INTO band SELECT i, 'band ' || i, 1950 + i % 70, 1 + i % 40, 1 + i % 40 / 2, "
        f"nullif(i * 31 % 101, 0) FROM generate_series(1, {bands}) i",
        "CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL, gender text, born int)",
        "INSERT INTO person SELECT i, (ARRAY['Ann', 'Bo', 'Cy', 'Di', 'Ed'])[1 + i % 5] || ' ' || i * 48271 % 9973, "
        f"(ARRAY['f', 'm', NULL])[1 + i % 3], 1930 + i % 75 FROM generate_series(1, {people}) i",
        "CREATE TABLE member (band_id int NOT NULL, person_id int NOT NULL, role text NOT NULL, "
        "PRIMARY KEY (band_id, person_id))",
        "INSERT INTO member SELECT DISTINCT ON (1, 2) "
        f"1 + CASE WHEN i < {people} THEN i / 4 ELSE i * 13 % {bands} END, "
        f"1 + i * 7 % {people}, (ARRAY['voice', 'guitar', 'bass', 'drums'])[1 + i % 4] "
        f"FROM generate_series(0, {people * 3 // 2}) i ORDER BY 1, 2, 3",
        "CREATE TABLE city (id int PRIMARY KEY, name text NOT NULL, country_id int NOT NULL, people int NOT NULL)",
        "INSERT INTO city SELECT i, 'city ' || i, 1 + i % 40, 10000 * (1 + i * i % 977) FROM generate_series(1, 400) i",
        "CREATE TABLE venue (id int PRIMARY KEY, name text NOT NULL, city_id int NOT NULL, seats int NOT NULL)",
        "INSERT INTO venue SELECT i, (ARRAY['Arena', 'Club', 'Hall'])[1 + i % 3] || ' ' || i, 1 + i * 17 % 397, "
        "(ARRAY[20000, 300, 2000])[1 + i % 3] + i % 100 FROM generate_series(1, 1200) i",
        "CREATE TABLE concert (id int PRIMARY KEY, band_id int NOT NULL, venue_id int NOT NULL, held date NOT NULL, "
        "note text)",
        f"INSERT INTO concert SELECT i, {by_band}, 1 + i * 271 % 1193, date '1990-01-01' + i * 13 % 12000, "
        "CASE WHEN i % 7 = 0 THEN '(sold out)' WHEN i % 11 = 0 THEN '(recorded live)' END "
        f"FROM generate_series(1, {concerts}) i",
        "CREATE TABLE song (id int PRIMARY KEY, title text NOT NULL, band_id int NOT NULL, genre_id int NOT NULL, "
        "seconds int NOT NULL)",
        f"INSERT INTO song SELECT i, 'song about ' || md5((i % 1000)::text), 1 + i % {bands}, "
        f"1 + (1 + i % {bands}) % 40 / 2, 90 + i * 37 % 400 FROM generate_series(1, {songs}) i",
        "CREATE TABLE writing (song_id int NOT NULL, person_id int NOT NULL, part text NOT NULL)",
        f"INSERT INTO writing SELECT 1 + i * 3 % {songs}, 1 + i * 7 % {people}, "
        f"(ARRAY['words', 'music'])[1 + i % 2] FROM generate_series(1, {songs * 2}) i",
        "CREATE TABLE setlist (concert_id int NOT NULL, song_id int NOT NULL, position int NOT NULL)",
        f"INSERT INTO setlist SELECT 1 + i % {concerts}, 1 + i * 7 % {songs}, 1 + i / {concerts} "
        f"FROM generate_series(0, {concerts * 6 - 1}) i",
        "CREATE TABLE ticket (id int PRIMARY KEY, concert_id int NOT NULL, price numeric(8,2) NOT NULL, class text)",
        f"INSERT INTO ticket SELECT i, 1 + i * 11 % {concerts - 3}, (500 + i * 137 % 9500)::numeric / 100, "
        f"(ARRAY['seat', 'stand', 'box', 'stand'])[1 + i / 3 % 4] FROM generate_series(1, {concerts * 3}) i",
        "CREATE INDEX ON band (label_id)",
        "CREATE INDEX ON member (person_id)",
        "CREATE INDEX ON venue (city_id)",
        "CREATE INDEX ON concert (band_id)",
        "CREATE INDEX ON concert (venue_id)",
        "CREATE INDEX ON song (band_id)",
        "CREATE INDEX ON writing (song_id)",
        "CREATE INDEX ON writing (person_id)",
        "CREATE INDEX ON setlist (concert_id)",
        "CREATE INDEX ON setlist (song_id)",
        "CREATE INDEX ON ticket (concert_id)",
        *(f"VACUUM ANALYZE {table}" for table in TABLES),
    ]


SHAPES = {
    "5 tables, chain": """
select min(b.name), min(v.name), count(*) from band b, concert c, venue v, city t, country l
where b.id = c.band_id and c.venue_id = v.id and v.city_id = t.id and t.country_id = l.id
  and l.continent = 'Europe' and c.note like '%sold out%' and b.founded > 1990""",
    "5 tables, star": """
select min(b.name), min(g.name), min(l.name) from band b, genre g, label l, country c, concert k
where b.genre_id = g.id and b.label_id = l.id and b.country_id = c.id and k.band_id = b.id
  and g.name in ('genre 3', 'genre 4') and c.name = 'country 7' and k.held between '1995-01-01' and '1999-12-31'""",
    "6 tables, two facts": """
select min(s.title), count(*) from song s, setlist e, concert c, venue v, band b, genre g
where s.id = e.song_id and e.concert_id = c.id and c.venue_id = v.id and c.band_id = b.id and s.genre_id = g.id
  and v.seats > 10000 and g.name = 'genre 5' and s.seconds > 400""",
    "6 tables, correlated filters": """
select min(p.name), max(b.name), count(*) from person p, member m, band b, genre g, country c, label l
where p.id = m.person_id and m.band_id = b.id and b.genre_id = g.id and b.country_id = c.id and b.label_id = l.id
  and c.name = 'country 11' and g.name = 'genre 6' and m.role = 'voice' and p.gender = 'f'""",
    "7 tables, OR over two": """
select count(*), min(s.title) from song s, writing w, person p, band b, country c, setlist e, concert k
where s.id = w.song_id and w.person_id = p.id and s.band_id = b.id and b.country_id = c.id and e.song_id = s.id
  and e.concert_id = k.id and ((p.gender = 'f' and w.part = 'words') or (p.gender = 'm' and w.part = 'music'))
  and c.continent = 'Asia' and k.note is not null and p.born > 1990""",
    "7 tables, a country twice": """
select min(b.name), min(t.name), count(*)
from band b, country home, concert c, venue v, city t, country abroad, genre g
where b.country_id = home.id and c.band_id = b.id and c.venue_id = v.id and v.city_id = t.id
  and t.country_id = abroad.id and b.genre_id = g.id and home.id <> abroad.id and home.continent = 'Africa'
  and abroad.continent = 'America' and g.id < 8 and t.people > 5000000""",
    "8 tables, LIKE and IN": """
select min(s.title), min(p.name), count(*)
from song s, writing w, person p, band b, label l, setlist e, concert c, venue v
where s.id = w.song_id and w.person_id = p.id and s.band_id = b.id and b.label_id = l.id and e.song_id = s.id
  and e.concert_id = c.id and c.venue_id = v.id and p.name like 'Ann%' and l.name in ('label 3', 'label 5', 'label 8')
  and v.name like 'Hall%' and w.part = 'music'""",
    "8 tables, self join of band": """
select count(*), min(one.name), min(other.name)
from band one, member m, person p, member n, band other, genre g, genre h, country c
where one.id = m.band_id and m.person_id = p.id and p.id = n.person_id and n.band_id = other.id
  and one.genre_id = g.id and other.genre_id = h.id and other.country_id = c.id and one.id < other.id
  and g.name = 'genre 2' and c.continent = 'Europe'""",
    "9 tables": """
select min(b.name), max(k.price), count(*)
from band b, label l, genre g, concert c, venue v, city t, country n, ticket k, country o
where b.label_id = l.id and b.genre_id = g.id and c.band_id = b.id and c.venue_id = v.id and v.city_id = t.id
  and t.country_id = n.id and k.concert_id = c.id and l.country_id = o.id and n.continent = 'Asia'
  and o.continent = 'Europe' and g.name in ('genre 1', 'genre 9', 'genre 17') and k.class = 'box' and k.price > 50""",
    "9 tables, outer joins": """
select count(*), count(l.id), count(k.id), min(p.name)
from person p join member m on p.id = m.person_id join band b on m.band_id = b.id join genre g on b.genre_id = g.id
  left join label l on b.label_id = l.id and l.country_id < 20 join concert c on c.band_id = b.id
  left join ticket k on k.concert_id = c.id and k.class = 'seat' join venue v on c.venue_id = v.id
  join city t on v.city_id = t.id
where g.name = 'genre 12' and m.role = 'drums' and t.people < 1000000""",
    "10 tables": """
select min(p.name), min(s.title), min(v.name), count(*)
from person p, writing w, song s, setlist e, concert c, venue v, city t, country n, band b, genre g
where p.id = w.person_id and w.song_id = s.id and s.id = e.song_id and e.concert_id = c.id and c.venue_id = v.id
  and v.city_id = t.id and t.country_id = n.id and c.band_id = b.id and b.genre_id = g.id
  and n.name in ('country 2', 'country 12') and p.gender is null and s.seconds between 100 and 200
  and c.held > '2000-01-01'""",
    "10 tables, EXISTS and IN": """
select count(*), min(b.name), max(c.held)
from band b, country n, genre g, concert c, venue v, city t, country m, label l
where b.country_id = n.id and b.genre_id = g.id and c.band_id = b.id and c.venue_id = v.id and v.city_id = t.id
  and t.country_id = m.id and b.label_id = l.id and m.continent = 'Europe' and n.continent <> 'Europe' and l.id < 40
  and exists (select 1 from ticket k where k.concert_id = c.id and k.price > 90)
  and b.id in (select s.band_id from song s where s.seconds > 480)""",
}


def plan_times(connections: Connections, queries: Sequence[Query], rounds: int) -> list[Timing]:
    """Seconds of EXPLAIN. Each time a comment of another length stands in the text, so that no kept plan answers."""
    timings = []
    for query in queries:
        timing = Timing(Query(f"planning: {query.name}", query.sql))
        for number in range(rounds):
            for name in connections:
                text = f"EXPLAIN /*{'.' * number}*/ {query.sql}"
                timing.seconds.setdefault(name, []).append(answer(connections, name, text)[1])
        timings.append(timing)
    return timings


def main() -> int:
    """Run it; exit status 1 when an answer differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--ours", action="store_true", help="without PostgreSQL")
    parser.add_argument("names", nargs="*", help="beginnings of the names of queries (default: all)")
    args = parser.parse_args()
    queries = [
        Query(name, sql.strip())
        for name, sql in SHAPES.items()
        if not args.names or any(name.startswith(each) for each in args.names)
    ]
    with running(args.ours) as connections:
        for connection in connections.values():
            run_all(connection, schema(args.size))
        timings = measure(connections, queries, args.rounds)
        timings.append(total(timings, None))
        planned = plan_times(connections, queries, args.rounds)
    slow = [each.query.name for each in planned if (each.median(OURS) or 0) > PLAN_S_MAX]
    status = report(f"Joins, size {args.size:g}", [*timings, *planned], args.json, size=args.size, rounds=args.rounds)
    if slow:
        print(f"\nmore than {PLAN_S_MAX * 1000:.0f} ms: {'; '.join(slow)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
