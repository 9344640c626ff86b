-- What is kept for people goes by the time at which it was recorded. That of a
-- dead letter's mark was not kept so far: "time" is the record's own.

-- +goose Up
ALTER TABLE firehose_dead_letters ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX firehose_dead_letters_recorded_at ON firehose_dead_letters (recorded_at);
CREATE INDEX firehose_conflicts_recorded_at ON conflicts (recorded_at);
