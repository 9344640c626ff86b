package main

import "time"

// Figures of a run beside its rate.
const (
	ackedP50   = "ms until acknowledged, half"
	ackedP99   = "ms until acknowledged, 99 %"
	appliedP50 = "ms until applied, half"
	appliedP99 = "ms until applied, 99 %"
	corePart   = "% of a core"
	residentMB = "MB resident"
)

const (
	sendFile = "producer send of the same lines"

	tenOne   = "10,000 events/s, one broker, 5 minutes"
	hundred  = "100 events/s, one broker"
	tenThree = "10,000 events/s, three brokers"

	oneInstance   = "one instance"
	twoInstances  = "two instances"
	fourInstances = "four instances"

	onPostgres = "PostgreSQL"
	onSQLite   = "SQLite"
)

// ownRows are measured against what is wanted rather than against others.
func ownRows() []row {
	within := func(of string) goal { return goal{figure: "cpu", of: of, against: oneInstance, least: 0.9, most: 1.1} }
	return []row{
		{name: "http", work: "HTTP ingest, batches of 500 lines, acknowledged", shows: []string{ackedP50, ackedP99},
			contenders: []contender{{ours, postedOverHTTP}, {sendFile, sentFromFile}},
			goals:      []goal{rate(sendFile, 0.7), {figure: "rate", least: 50_000}, {figure: ackedP99, most: 20}}},
		{name: "latency", work: "latency from when an event was due, into PostgreSQL", rounds: 1, shows: []string{ackedP50, ackedP99, appliedP50, appliedP99},
			contenders: []contender{{tenOne, latency(1, 10_000, 5*time.Minute)}, {hundred, latency(1, 100, time.Minute)}, {tenThree, latency(3, 10_000, time.Minute)}},
			goals: []goal{{figure: appliedP50, of: tenOne, most: 5}, {figure: appliedP99, of: tenOne, most: 20},
				{figure: appliedP50, of: hundred, most: 3}}},
		{name: "idle", noRate: true, rounds: 1, work: "a service that has nothing to do", input: idle, events: 10, shows: []string{corePart, residentMB},
			contenders: []contender{{onPostgres, idleOn(onPostgres)}, {onSQLite, idleOn(onSQLite)}},
			goals: []goal{{figure: corePart, of: onPostgres, most: 1}, {figure: residentMB, of: onPostgres, most: 40},
				{figure: corePart, of: onSQLite, most: 1}, {figure: residentMB, of: onSQLite, most: 40}}},
		{name: "steady", noRate: true, rounds: 1, work: "a replica of 1,000,000 entities at 1,000 changes a second, which it has read from the start", input: steady, events: 1_000_000, shows: []string{corePart, residentMB},
			contenders: []contender{{onPostgres, steadyOn(onPostgres)}, {onSQLite, steadyOn(onSQLite)}},
			goals:      []goal{{figure: residentMB, of: onPostgres, most: 100}, {figure: residentMB, of: onSQLite, most: 100}}},
		{name: "instances", work: "instances of one service that share 32 partitions, into PostgreSQL", input: wide,
			contenders: []contender{{oneInstance, instances(1)}, {twoInstances, instances(2)}, {fourInstances, instances(4)}},
			goals:      []goal{within(twoInstances), within(fourInstances)}},
	}
}
