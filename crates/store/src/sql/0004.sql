-- Rates on their way into a group: read from a vendor's file or made from another group, looked at, applied, undone.
CREATE TABLE deck_import (
  id BIGINT PRIMARY KEY,
  group_id BIGINT NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  started_by TEXT NOT NULL,
  body TEXT NOT NULL
);
CREATE INDEX deck_import_group ON deck_import (group_id, id);
-- The rates that an import would write, with the checksums they will have; `gone`: the rate is to be deleted.
CREATE TABLE deck_row (
  import_id BIGINT NOT NULL,
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
  gone BIGINT NOT NULL,
  PRIMARY KEY (import_id, prefix, variant)
) /* clustered */;
-- The rates that an applied import replaced or deleted, as they were.
CREATE TABLE deck_undo (
  import_id BIGINT NOT NULL,
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
  PRIMARY KEY (import_id, prefix, variant)
) /* clustered */;
-- Of an applied import the rates that were there already, just so.
CREATE TABLE deck_kept (
  import_id BIGINT NOT NULL,
  prefix TEXT NOT NULL,
  variant TEXT NOT NULL,
  PRIMARY KEY (import_id, prefix, variant)
) /* clustered */;
