-- Alarms, open and past (`DBG-9`). What is not searched for stands in the body.
CREATE TABLE alarm (
  id BIGINT PRIMARY KEY,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  began_at BIGINT NOT NULL,
  ended_at BIGINT,
  body TEXT NOT NULL
);
CREATE INDEX alarm_open ON alarm (ended_at);
