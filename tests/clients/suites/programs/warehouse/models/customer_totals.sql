{{ config(materialized='table', indexes=[{'columns': ['customer_id'], 'unique': true}, {'columns': ['country'], 'type': 'hash'}]) }}
with totals as (select customer_id, sum(amount) as total, count(*) as orders from {{ ref('staged_orders') }} group by 1)
select c.id as customer_id, c.name, c.country, coalesce(t.total, 0) as total, coalesce(t.orders, 0) as orders
from {{ ref('customers') }} c left join totals t on t.customer_id = c.id
