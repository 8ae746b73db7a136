-- Sums over CDRs and ledger, from which reports are made; kept in the transaction of the records they sum up, and made
-- anew from them at any time. `level` is the length of the time that a row covers, in seconds, and `slot` its begin.
-- Sums of money are amount_hi × 10^9 + amount_lo units of 10^-8.
CREATE TABLE rollup_key (
  id BIGINT PRIMARY KEY,
  source TEXT NOT NULL,
  account_id BIGINT NOT NULL,
  mapping_gateway_id BIGINT NOT NULL,
  vendor_id BIGINT NOT NULL,
  routing_gateway_id BIGINT NOT NULL,
  prefix TEXT NOT NULL,
  area TEXT NOT NULL,
  cost_prefix TEXT NOT NULL,
  end_reason TEXT NOT NULL,
  currency TEXT NOT NULL,
  cost_currency TEXT NOT NULL,
  UNIQUE (source, account_id, mapping_gateway_id, vendor_id, routing_gateway_id, prefix, area, cost_prefix, end_reason,
    currency, cost_currency)
);
CREATE TABLE rollup (
  level BIGINT NOT NULL,
  slot BIGINT NOT NULL,
  key_id BIGINT NOT NULL,
  calls BIGINT NOT NULL,
  answered BIGINT NOT NULL,
  effective BIGINT NOT NULL,
  talk_ms BIGINT NOT NULL,
  billed_s BIGINT NOT NULL,
  cost_s BIGINT NOT NULL,
  pdd_ms BIGINT NOT NULL,
  pdd_calls BIGINT NOT NULL,
  revenue_hi BIGINT NOT NULL,
  revenue_lo BIGINT NOT NULL,
  cost_hi BIGINT NOT NULL,
  cost_lo BIGINT NOT NULL,
  loss_calls BIGINT NOT NULL,
  loss_hi BIGINT NOT NULL,
  loss_lo BIGINT NOT NULL,
  PRIMARY KEY (level, slot, key_id)
) /* clustered */;
CREATE TABLE ledger_rollup (
  level BIGINT NOT NULL,
  slot BIGINT NOT NULL,
  book TEXT NOT NULL,
  currency TEXT NOT NULL,
  kind TEXT NOT NULL,
  entries BIGINT NOT NULL,
  amount_hi BIGINT NOT NULL,
  amount_lo BIGINT NOT NULL,
  PRIMARY KEY (level, slot, book, currency, kind)
) /* clustered */;
-- How many calls were up and came in, at most, in each minute; `place` 0 is the whole switch.
CREATE TABLE load_sample (
  minute BIGINT NOT NULL,
  kind TEXT NOT NULL,
  place BIGINT NOT NULL,
  calls BIGINT NOT NULL,
  cps BIGINT NOT NULL,
  PRIMARY KEY (minute, kind, place)
) /* clustered */;
