-- Past calls priced again: each run with its request, and what it changed by call.
CREATE TABLE rerating (
  name TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  request TEXT NOT NULL,
  made_at BIGINT NOT NULL,
  made_by TEXT NOT NULL,
  crc BIGINT NOT NULL
);
CREATE TABLE rerating_call (
  call_id BIGINT NOT NULL,
  account_id BIGINT NOT NULL,
  vendor BIGINT NOT NULL,
  rerating TEXT NOT NULL,
  before_amount TEXT NOT NULL,
  after_amount TEXT NOT NULL,
  crc BIGINT NOT NULL,
  PRIMARY KEY (call_id, account_id, vendor, rerating)
) /* clustered */;
CREATE INDEX rerating_call_run ON rerating_call (rerating, account_id);
