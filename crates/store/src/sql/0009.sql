-- Talk and money of each account by the quarter of an hour (of the calls' ends).
CREATE TABLE account_usage (
  account_id BIGINT NOT NULL,
  quarter BIGINT NOT NULL,
  seconds BIGINT NOT NULL,
  amount TEXT NOT NULL,
  crc BIGINT NOT NULL,
  PRIMARY KEY (account_id, quarter)
) /* clustered */;
CREATE INDEX account_usage_quarter ON account_usage (quarter);
