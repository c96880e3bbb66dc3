{{ config(materialized='view') }}
select id, customer_id, amount::numeric(10, 2) as amount, status, placed_at::timestamp as placed_at
from {{ ref('orders') }}
