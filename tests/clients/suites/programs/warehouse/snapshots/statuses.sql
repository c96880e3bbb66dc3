{% snapshot statuses %}
{{ config(target_schema=target.schema, unique_key='id', strategy='check', check_cols=['status', 'amount']) }}
select id, status, amount from {{ ref('orders') }}
{% endsnapshot %}
