-- Contacts of phones and gateways that register, as JSON: what the journal said last of each.
CREATE TABLE registration (
    kind TEXT NOT NULL,
    id BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
