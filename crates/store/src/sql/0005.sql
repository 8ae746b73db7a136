-- Versions of the configuration: each is one transaction, with what it made different and as it was before.
CREATE TABLE config_change (
  version BIGINT PRIMARY KEY,
  changed_at BIGINT NOT NULL,
  author TEXT NOT NULL,
  source TEXT NOT NULL,
  undoes BIGINT
);
CREATE TABLE config_item (
  version BIGINT NOT NULL,
  item BIGINT NOT NULL,
  kind TEXT NOT NULL,
  id BIGINT NOT NULL,
  name TEXT NOT NULL,
  before TEXT,
  after TEXT,
  crc BIGINT NOT NULL,
  PRIMARY KEY (version, item)
) /* clustered */;
CREATE INDEX config_item_object ON config_item (kind, name, version);
