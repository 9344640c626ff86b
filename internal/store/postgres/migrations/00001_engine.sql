-- The engine's own tables. topic_id is 32 hexadecimal digits. Keys are compared
-- byte by byte, as Go compares strings.

-- +goose Up
CREATE TABLE positions (
	topic text COLLATE "C", partition integer, topic_id text NOT NULL, next bigint NOT NULL,
	leader_epoch integer NOT NULL, generation bigint NOT NULL, updated_at timestamptz NOT NULL,
	PRIMARY KEY (topic, partition)) WITH (fillfactor = 50);

-- topic to offset are of the record that brought the conflict to light. body is as
-- encoding says: 'event' the loser's framed value, 'columns' its row as a JSON
-- object, 'none' a delete. recorded_at is for expiry.
CREATE TABLE conflicts (
	id bytea PRIMARY KEY, topic text COLLATE "C" NOT NULL, topic_id text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL,
	key text COLLATE "C" NOT NULL, policy text NOT NULL, outcome text NOT NULL,
	loser_version bigint NOT NULL, loser_time bigint NOT NULL, loser_origin text NOT NULL, loser_event_id text COLLATE "C" NOT NULL,
	winner_version bigint NOT NULL, winner_time bigint NOT NULL, winner_origin text NOT NULL, winner_event_id text COLLATE "C" NOT NULL,
	encoding text NOT NULL, body bytea, recorded_at timestamptz NOT NULL);

CREATE TABLE firehose_images (
	topic text COLLATE "C", key text COLLATE "C", version bigint NOT NULL, time bigint NOT NULL, origin text NOT NULL, event_id text NOT NULL,
	deleted boolean NOT NULL, body bytea,
	PRIMARY KEY (topic, key));

CREATE TABLE firehose_dead_letters (
	topic_id text COLLATE "C", partition integer, "offset" bigint, topic text NOT NULL,
	class text NOT NULL, error text NOT NULL, time timestamptz NOT NULL,
	PRIMARY KEY (topic_id, partition, "offset"));

-- One row per table of seen event IDs: the record times that it holds, and the
-- clock (microseconds of record time) at its last use, which was at used_at.
CREATE TABLE firehose_seen_slices (
	name text PRIMARY KEY, horizon bigint NOT NULL, slice bigint NOT NULL, used bigint NOT NULL, used_at timestamptz NOT NULL,
	starts timestamptz NOT NULL, ends timestamptz NOT NULL);

-- What the service's tables were declared as, and how often that has changed.
CREATE TABLE firehose_columns (
	"table" text COLLATE "C", position integer, kind text NOT NULL, name text NOT NULL, key boolean NOT NULL,
	type text NOT NULL, nullable boolean NOT NULL, "default" text NOT NULL,
	PRIMARY KEY ("table", position));
CREATE TABLE firehose_catalog (version bigint NOT NULL);
INSERT INTO firehose_catalog VALUES (0);
