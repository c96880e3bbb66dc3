{{ config(materialized='materialized_view', indexes=[{'columns': ['status']}]) }}
select status, sum(amount) as total from {{ ref('staged_orders') }} group by status
