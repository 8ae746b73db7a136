-- People, what they may do, and what was done.
CREATE TABLE console_role (name TEXT PRIMARY KEY, body TEXT NOT NULL);
ALTER TABLE console_user ADD COLUMN body TEXT NOT NULL DEFAULT '{}';
ALTER TABLE token ADD COLUMN body TEXT NOT NULL DEFAULT '{}';
-- Who changed what, from where: before and after as JSON. Rows are only ever added.
CREATE TABLE audit (
  seq BIGINT PRIMARY KEY,
  happened_at BIGINT NOT NULL,
  author TEXT NOT NULL,
  source TEXT NOT NULL,
  action TEXT NOT NULL,
  kind TEXT NOT NULL,
  object TEXT NOT NULL,
  before TEXT,
  after TEXT,
  crc BIGINT NOT NULL
);
CREATE INDEX audit_object ON audit (kind, object, seq);
CREATE INDEX audit_author ON audit (author, seq);
