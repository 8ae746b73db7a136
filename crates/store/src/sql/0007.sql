-- What the server monitor saw, each row the figures of one step: fine steps for an hour, coarse ones for a month.
CREATE TABLE monitor_sample (
  step_s BIGINT NOT NULL,
  taken_at BIGINT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (step_s, taken_at)
) /* clustered */;
