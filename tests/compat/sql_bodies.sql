-- SQL-standard bodies as pg_get_functiondef shows them.
create table b (id int, x text);
create function f1(x int, y int) returns int language sql begin atomic select f1.x + 1 from b where id = y; end;
create function f2(x int) returns int language sql return x * 2 + (select max(id) from b);
create function f4() returns bool language sql begin atomic select 1; select false; end;
create function f5(x int) returns bool language sql begin atomic select case when x % 2 = 0 then true else false end; end;
create function f6(x int) returns setof b language sql begin atomic select id, b.x from b where id > f6.x order by 2 limit 3; end;
create function f7(x int) returns int language sql begin atomic with q as (select 1 as one) select one from q union select 2; end;
create function f8(a text, b date) returns boolean language sql return a = 'abcd' and b > '2001-01-01';
select proname, pg_get_functiondef(oid), pg_get_function_sqlbody(oid) from pg_proc where pronamespace = current_schema::regnamespace order by 1;
