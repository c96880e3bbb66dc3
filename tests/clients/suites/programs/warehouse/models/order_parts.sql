{{ config(materialized='incremental', unique_key=['id', 'status'], incremental_strategy='delete+insert') }}
select id, status, amount from {{ ref('staged_orders') }}
