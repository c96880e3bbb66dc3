{{ config(materialized='incremental', unique_key='id', incremental_strategy='merge', on_schema_change='append_new_columns') }}
select id, customer_id, amount, status, placed_at{% if is_incremental() %}, 'again' as seen{% endif %}
from {{ ref('staged_orders') }}
{% if is_incremental() %} where placed_at >= (select max(placed_at) from {{ this }}) {% endif %}
