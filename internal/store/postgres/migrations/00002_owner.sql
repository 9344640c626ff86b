-- The group whose positions these are; one row.

-- +goose Up
CREATE TABLE firehose_owner (name text PRIMARY KEY);
