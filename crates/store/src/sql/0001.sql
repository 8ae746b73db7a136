-- "clustered": rows are kept in the order of their key, where the database can do so.
-- Rows that decide about money, routes and access carry a crc32 of their contents, verified whenever they are read.
-- Configuration: one row per document, its fields in the body. A new setting is a new field with a default.
CREATE TABLE document (
  kind TEXT NOT NULL,
  id BIGINT NOT NULL,
  name TEXT NOT NULL,
  version BIGINT NOT NULL,
  body TEXT NOT NULL,
  crc BIGINT NOT NULL,
  PRIMARY KEY (kind, id),
  UNIQUE (kind, name)
);
-- Every version of every document; a deleted one ends with a null body.
CREATE TABLE document_history (
  kind TEXT NOT NULL,
  id BIGINT NOT NULL,
  version BIGINT NOT NULL,
  body TEXT,
  changed_at BIGINT NOT NULL,
  changed_by TEXT NOT NULL,
  PRIMARY KEY (kind, id, version)
);
-- Counters that never go back: next ids by kind, version of the whole configuration.
CREATE TABLE counter (name TEXT PRIMARY KEY, amount BIGINT NOT NULL);
-- Constants of the data folder.
CREATE TABLE setting (name TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE parameter (name TEXT PRIMARY KEY, body TEXT NOT NULL, crc BIGINT NOT NULL, changed_at BIGINT NOT NULL, changed_by TEXT NOT NULL);

CREATE TABLE rate (
  group_id BIGINT NOT NULL,
  prefix TEXT NOT NULL,
  area TEXT NOT NULL,
  price_per_minute TEXT NOT NULL,
  first_period BIGINT NOT NULL,
  cycle BIGINT NOT NULL,
  first_period_price TEXT,
  connection_fee TEXT NOT NULL,
  minimum_charge TEXT NOT NULL,
  free_seconds BIGINT NOT NULL,
  locked BIGINT NOT NULL,
  crc BIGINT NOT NULL,
  PRIMARY KEY (group_id, prefix)
) /* clustered */;
-- Version and number of the rates of a group.
CREATE TABLE rate_sheet (group_id BIGINT PRIMARY KEY, version BIGINT NOT NULL, amount BIGINT NOT NULL);

-- Money. A line of a posting; seq is its record in the journal.
CREATE TABLE ledger_entry (
  seq BIGINT NOT NULL,
  line BIGINT NOT NULL,
  book TEXT NOT NULL,
  currency TEXT NOT NULL,
  amount TEXT NOT NULL,
  balance_after TEXT NOT NULL,
  kind TEXT NOT NULL,
  call_id BIGINT,
  posted_at BIGINT NOT NULL,
  posted_by TEXT NOT NULL,
  note TEXT NOT NULL,
  posting_key TEXT,
  crc BIGINT NOT NULL,
  PRIMARY KEY (seq, line)
) /* clustered */;
CREATE INDEX ledger_entry_book ON ledger_entry (book, seq, line);
-- Postings that carry an idempotency key, whole.
CREATE TABLE posting (posting_key TEXT PRIMARY KEY, seq BIGINT NOT NULL, body TEXT NOT NULL, crc BIGINT NOT NULL);
CREATE INDEX posting_seq ON posting (seq);
CREATE TABLE balance (book TEXT PRIMARY KEY, currency TEXT NOT NULL, amount TEXT NOT NULL, crc BIGINT NOT NULL);
-- Opening balances that have been promised and not yet been posted.
CREATE TABLE pending_payment (
  posting_key TEXT PRIMARY KEY,
  account_id BIGINT NOT NULL,
  amount TEXT NOT NULL,
  ordered_by TEXT NOT NULL,
  crc BIGINT NOT NULL,
  ordered_at BIGINT NOT NULL
);

-- How far each reader of the journal has come.
CREATE TABLE watermark (reader TEXT PRIMARY KEY, seq BIGINT NOT NULL, crc BIGINT NOT NULL);

CREATE TABLE console_user (name TEXT PRIMARY KEY, role TEXT NOT NULL, password_hash TEXT NOT NULL, created_at BIGINT NOT NULL);
CREATE TABLE token (
  hash TEXT PRIMARY KEY,
  user_name TEXT NOT NULL,
  note TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT
);
