package manual

// costs says what each setting costs: memory, time, safety, or what goes wrong
// where it is wrong. The key is a flag's name, or the command's words and the
// name where the commands differ. A test fails when a flag has none, and when a
// text has no flag.
func costs() map[string]string {
	return map[string]string{
		// Kafka.
		"brokers":            "nothing; with one address alone a program that starts while that broker is away waits for it",
		"client-id":          "nothing; clients of one name share its quota",
		"tls":                "processor time for each byte, and the brokers' certificates to be renewed in time; without it everybody on the way reads and changes the events",
		"tls-ca-file":        "whoever is signed by it can be your broker: give the cluster's own authority rather than the system's hundred",
		"tls-cert-file":      "a certificate to renew in time; it is read again for each connection",
		"tls-key-file":       "whoever reads the file is this client",
		"tls-server-name":    "safety, where it names more hosts than the brokers'",
		"sasl-mechanism":     "PLAIN shows the password to whoever ends the TLS connection; SCRAM is some hashing for each new connection",
		"sasl-user":          "nothing",
		"sasl-password-file": "whoever reads the file is this user; it must be mounted where the program runs",
		"insecure-sasl":      "safety: the password, or its proof, crosses the network in clear; refused beyond loopback",

		// Registry.
		"registry":               "nothing; with one address alone new schemas wait while it is away, and what is known already goes on",
		"registry-user":          "nothing",
		"registry-password-file": "whoever reads the file is this user",
		"registry-token-file":    "whoever reads the file has the token's rights",
		"registry-ca-file":       "whoever is signed by it can be your registry, and so say what events mean",
		"registry-cert-file":     "a certificate to renew in time",
		"registry-key-file":      "whoever reads the file is this client",

		// The process.
		"admin":           "safety, beyond loopback: profiles show what is in memory, and there is no login",
		"grace":           "time of each stop at worst; below what a transaction takes, work in flight is thrown away and done again by the next owner. Keep it below the time after which the supervisor kills",
		"log-level":       "debug costs time and room on the disk; above warn nobody is told why a partition rests",
		"log-format":      "nothing",
		"config":          "nothing; it is read once, at the start",
		"json":            "nothing: it chooses the form of what is printed",
		"health ready":    "used as a liveness check it restarts instances because Kafka or the database is away, which mends neither",
		"schemas":         "time at the start: each version is checked against all others",
		"compression":     "gzip and zstd: processor time for fewer bytes on the network and on the brokers' disks; none: the other way round. docs/adr/0005-compression.md has the figures",
		"source":          "together with the ID it is what an event is known by: changed, what is sent again counts as new",
		"timeout":         "longer: callers wait longer and more events wait in memory (up to 64 MiB) while brokers are away; shorter: more events are reported as unknown that were written, and are sent again",
		"max-event-bytes": "memory: an event is held as text, as value and as record at once; more than 512 KiB of Avro is refused whatever is said here",

		// producer serve.
		"producer serve listen":  "safety, beyond loopback: the door has neither TLS nor a login, put a proxy before it",
		"max-batch-bytes":        "memory: a batch is held whole, and counts in the bodies in memory",
		"max-batch-lines":        "about 512 bytes of memory a line beside its text; one batch keeps others waiting for longer",
		"max-in-flight-bytes":    "memory, this much at worst for bodies alone; lower, callers are answered 503 sooner when brokers are slow",
		"max-caller-bytes":       "fairness: at all of the bodies' bytes one caller can shut out the others; behind a proxy all callers have one address",
		"max-connections":        "a file descriptor and the memory of its buffers each; further ones wait in the kernel's queue",
		"read-timeout":           "longer: slow callers hold memory and connections for longer; shorter: large batches over slow lines are refused",
		"attempts":               "time: each may take all of --timeout; an event sent twice is stopped by the services, and stands twice in the log",
		"refused":                "the file is emptied at the start",
		"again":                  "the log grows by everything once more; the services find duplicates, which costs them the look-ups",
		"checkpoint":             "a small file, written again and again; without it a run begins at the start, and what was sent is sent again under the same IDs",
		"give-up":                "longer: a script waits longer for a cluster that does not come back",
		"speed":                  "nothing; slower takes longer",
		"producer replay rate":   "as fast as possible fills the services' lag and competes with other producers for the brokers",
		"producer simulate rate": "as fast as possible competes with other producers for the brokers; logs grow without end",
		"count":                  "0 does not end: logs and stores grow until somebody stops it",
		"seed":                   "nothing; a checkpoint of another seed is refused",
		"products":               "memory here, and rows in the stores",
		"customers":              "memory here, and rows in the stores",

		// Services.
		"rack":                "traffic between zones is saved; followers show a record a little later than the leader",
		"group-protocol":      "consumer needs Kafka 4.0; a rebalance takes at least a heartbeat of 5 s. classic: each rebalance asks all members",
		"group":               "another name is another group with dead-letter topics and permissions of its own; a store that belongs to the old one is refused",
		"store":               "sqlite: one instance only, and its disk must survive it; postgres: a network round trip in each transaction, and room for the connections of all instances",
		"store-password-file": "whoever reads the file is this user",
		"max-batch":           "smaller: rows are locked for a shorter time and less is merged before it is written, so that the database does more work for each event; larger: memory, and nothing beyond what is read ahead",
		"max-queue-bytes":     "memory, about 8 times as much while the service catches up; larger transactions then, in which more events of one row become one write",
		"breaker-pause":       "longer: a partition rests longer after its cause is mended, its lag grows; shorter: a wrong deployment empties more of a topic into the dead letters, one record each 1/30 of it",
		"schema-patience":     "longer: a record with a schema that nobody registered holds its partition for that long; shorter: one whose schema is only registered late is set aside",
		"topics":              "a table, its index and a kept row of each deleted entity for each topic; one that is taken out keeps its table, which grows old",

		// firehose.
		"dir":                     "disk: everything that was ever sent, until it is deleted. On a memory file system a power cut loses it",
		"firehose dev listen":     "safety, beyond loopback: there is no login",
		"kafka-listen":            "safety, beyond loopback: the embedded broker asks nobody for a login",
		"registry-listen":         "safety, beyond loopback: the embedded registry asks nobody for a login",
		"replay":                  "disk for 452,637 events, in the log and in three databases",
		"firehose dev rate":       "nothing; slower takes longer",
		"simulate":                "logs and stores that grow without end",
		"exit-when-idle":          "nothing",
		"replication":             "disk and network as many times; below 3 a broker that is lost takes acknowledged events with it",
		"offline":                 "what the registry has and the files do not is not seen",
		"golden":                  "nothing",
		"firehose tail count":     "0 reads on to the end: the whole topic, if it is read from the beginning",
		"follow":                  "a fetch that waits at each broker, until it is stopped",
		"offset":                  "from the beginning of a large topic: all of its bytes over the network",
		"partition":               "nothing",
		"firehose lag group":      "nothing; without it, a request for each group of the cluster",
		"firehose dlq list group": "nothing; without it, the dead letters of all groups are read",
	}
}
