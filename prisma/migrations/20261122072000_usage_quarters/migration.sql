-- The quarters of each rolled-up hour, so that days of zones at :30 and :45 outlive the records (docs/adr/0030).
--
-- Old code can run beside it: what an old worker adds to an hour counts as used in its first quarter.
-- The columns cost no rewrite; after it each hour that has records is
-- written once, while workers wait and readers do not.

LOCK TABLE usage_hour IN SHARE ROW EXCLUSIVE MODE;

ALTER TABLE usage_hour
  ADD COLUMN quantity_15 DECIMAL(50,12) NOT NULL DEFAULT 0,
  ADD COLUMN quantity_30 DECIMAL(50,12) NOT NULL DEFAULT 0,
  ADD COLUMN quantity_45 DECIMAL(50,12) NOT NULL DEFAULT 0;

-- What was used in an hour whose records are gone stays in its first quarter: no sum over whole hours changes.
UPDATE usage_hour h SET quantity_15 = r.quantity_15, quantity_30 = r.quantity_30, quantity_45 = r.quantity_45
FROM (
  SELECT customer_id, key_id, date_trunc('hour', at, 'UTC') AS hour, meter, api_id, stage, usage_plan_id, method,
    resource_path, status_class, sum(quantity) AS quantity,
    coalesce(sum(quantity) FILTER (WHERE date_part('minute', at AT TIME ZONE 'UTC') >= 15
      AND date_part('minute', at AT TIME ZONE 'UTC') < 30), 0) AS quantity_15,
    coalesce(sum(quantity) FILTER (WHERE date_part('minute', at AT TIME ZONE 'UTC') >= 30
      AND date_part('minute', at AT TIME ZONE 'UTC') < 45), 0) AS quantity_30,
    coalesce(sum(quantity) FILTER (WHERE date_part('minute', at AT TIME ZONE 'UTC') >= 45), 0) AS quantity_45
  FROM usage_record r
  WHERE NOT EXISTS (SELECT FROM usage_batch b WHERE b.id = r.batch_id AND b.rolled_up_at IS NULL)
  GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
) r
WHERE (h.customer_id, h.key_id, h.hour, h.meter, h.api_id, h.stage, h.usage_plan_id, h.method, h.resource_path, h.status_class)
    = (r.customer_id, r.key_id, r.hour, r.meter, r.api_id, r.stage, r.usage_plan_id, r.method, r.resource_path, r.status_class)
  AND h.quantity >= r.quantity;

ALTER TABLE usage_hour
  ADD CHECK (quantity_15 >= 0 AND quantity_15 < 1e38),
  ADD CHECK (quantity_30 >= 0 AND quantity_30 < 1e38),
  ADD CHECK (quantity_45 >= 0 AND quantity_45 < 1e38),
  ADD CHECK (quantity_15 + quantity_30 + quantity_45 <= quantity);
