-- Numbers of black and white lists; `is_prefix`: all numbers that begin so.
CREATE TABLE list_number (
  list_id BIGINT NOT NULL,
  digits TEXT NOT NULL,
  is_prefix BIGINT NOT NULL,
  PRIMARY KEY (list_id, digits, is_prefix)
) /* clustered */;
-- Version and size of each list.
CREATE TABLE number_list_sheet (
  list_id BIGINT PRIMARY KEY,
  version BIGINT NOT NULL,
  amount BIGINT NOT NULL
);
