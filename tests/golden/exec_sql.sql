-- Statements for the executor, run in order; results recorded from PostgreSQL by record_exec_sql.py. One statement per paragraph.

select * from emp order by id

select name, salary * 2 + 1 from emp where dept = 10 and salary > 100 order by 1

select dept, count(*), sum(salary), avg(salary), min(name), max(name) from emp group by dept order by dept

select dept, count(*) from emp group by dept having count(*) > 2 order by 2 desc, 1

select count(*), count(salary), sum(salary) from emp where false

select e.name, d.title from emp e join dept d on e.dept = d.id order by e.id

select e.name, d.title from emp e left join dept d on e.dept = d.id order by e.id

select e.name, d.title from emp e right join dept d on e.dept = d.id order by d.id, e.id

select e.name, d.title from emp e full join dept d on e.dept = d.id order by e.id, d.id

select e.name, m.name from emp e left join emp m on m.id = e.boss order by e.id

select d.title, (select count(*) from emp e where e.dept = d.id) from dept d order by 1

select name from emp where dept in (select id from dept where title like '%s') order by 1

select name from emp where dept not in (select id from dept where id > 10) order by 1

select name from emp e where exists (select 1 from emp b where b.boss = e.id) order by 1

select name from emp e where not exists (select 1 from emp b where b.boss = e.id) order by 1

select name from emp where salary > all (select salary from emp where dept = 20 and salary is not null) order by 1

select name from emp where salary = any (array[100, 300, null]) order by 1

select name from emp where id in (1, 3, 5, 99) order by id

select name from emp where id not in (1, 3, null) order by id

select distinct dept from emp order by dept

select distinct on (dept) dept, name from emp order by dept, salary desc nulls last

select dept from emp union select id from dept order by 1

select dept from emp union all select id from dept order by 1

select dept from emp intersect select id from dept order by 1

select id from dept except select dept from emp order by 1

select name, salary from emp order by salary nulls first, name limit 3 offset 1

select name, salary from emp order by salary desc, name fetch first 3 rows with ties

select case when salary > 200 then 'high' when salary is null then 'none' else 'low' end, name from emp order by id

select case dept when 10 then 'ten' when 20 then 'twenty' end from emp order by id

select coalesce(salary, 0), nullif(dept, 10), greatest(salary, dept), least(salary, dept) from emp order by id

select name from emp where (salary, dept) > (200, 10) order by id

select name from emp where salary is distinct from 100 order by id

select id, name is null, salary is not null, (salary > 150) is true, (salary > 150) is unknown from emp order by id

with recursive chain(id, name, depth) as (select id, name, 0 from emp where boss is null union all select e.id, e.name, depth + 1 from emp e join chain c on e.boss = c.id) select * from chain order by depth, id

with recursive n(i) as (select 1 union all select i + 1 from n) select i from n limit 4

with a as (select dept, sum(salary) as total from emp group by dept) select x.dept, y.total from a x join a y on x.dept = y.dept order by 1

select * from (values (1, 'one'), (2, 'two')) as v(a, b) where a > 1

select g, g * g from generate_series(1, 4) as g

select generate_series(1, 3), generate_series(1, 2)

select e.name, g from emp e, lateral generate_series(1, e.id) g where e.id < 4 order by e.id, g

select n, ord from unnest(array['x', 'y']) with ordinality as t(n, ord)

select array(select id from dept order by id), (array[1, 2, 3])[2], (array[1, 2, 3])[2:]

select count(distinct dept), sum(salary) filter (where dept = 10), string_agg(name, ',' order by name desc) from emp

select array_agg(name order by id) from emp where dept = 10

select bool_and(salary > 50), bool_or(salary > 250) from emp

select (select name from emp where id = 1), (select name from emp where id = 1000)

select (select name from emp)

select 1 / (id - 1) from emp

select length(name), upper(name), name || '!' from emp where id < 3 order by id

select name from emp where name ~ '^[a-c]' order by 1

select name from emp where name like '_o%' order by 1

select sum(x.salary) from emp x cross join dept y

select a.id, b.id from emp a join emp b on a.id < b.id and a.dept = b.dept order by 1, 2

select 1 where null

select not null::boolean, null and false, null or true

select limit_me from (select id as limit_me from emp order by id) s limit -1

select id from emp order by id limit null offset 6

select 7 / 2, -7 / 2, 7 % -3, 7.0 / 2, 2 ^ 10

select current_user = session_user

insert into emp values (8, 'henry', 10, 400, 1), (9, 'ida', 30, null, 2) returning id, name, salary

insert into emp (id, name) select id + 100, title from dept returning *

insert into emp values (null, 'nobody', 1, 1, 1)

insert into emp values (1, 'dup', 10, 1, 1) on conflict (id) do update set salary = emp.salary + excluded.salary, name = excluded.name returning id, name, salary

insert into emp values (2, 'dup', 10, 1, 1) on conflict do nothing

update emp set salary = salary + 1 where id = 3

update emp set salary = salary * 10 where dept = 10 returning id, salary

update emp e set name = d.title from dept d where d.id = e.dept and e.id < 4 returning e.id, e.name, d.id

update emp set (name, salary) = ('pair', 5) where id = 5 returning *

update emp set id = null where id = 5

delete from emp where id = 104

delete from emp using dept where emp.dept = dept.id and dept.title = 'ops' returning emp.id

delete from emp where id > 100 returning id

select * from emp order by id
