-- Rates that hold at certain times only: a prefix may have several, told apart by `variant`; what is more than the
-- first columns stands in `terms`. Both are empty for a rate that always holds, whose checksum stays what it was.
CREATE TABLE rate_at_times (
  group_id BIGINT NOT NULL,
  prefix TEXT NOT NULL,
  variant TEXT NOT NULL,
  area TEXT NOT NULL,
  price_per_minute TEXT NOT NULL,
  first_period BIGINT NOT NULL,
  cycle BIGINT NOT NULL,
  first_period_price TEXT,
  connection_fee TEXT NOT NULL,
  minimum_charge TEXT NOT NULL,
  free_seconds BIGINT NOT NULL,
  locked BIGINT NOT NULL,
  terms TEXT NOT NULL,
  crc BIGINT NOT NULL,
  PRIMARY KEY (group_id, prefix, variant)
) /* clustered */;
INSERT INTO rate_at_times
  SELECT group_id, prefix, '', area, price_per_minute, first_period, cycle, first_period_price, connection_fee,
    minimum_charge, free_seconds, locked, '', crc
  FROM rate;
DROP TABLE rate;
ALTER TABLE rate_at_times RENAME TO rate;
