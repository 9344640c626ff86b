package main

// notes say of a row what its figures do not: of a goal that is missed, what limits
// it, what was tried, and what would lift it.
var notes = map[string]string{
	"publish-1-none": publishNote,
	"publish-1-lz4":  publishNote,
	"publish-3-none": publishNote,
	"publish-3-lz4":  publishNote,
	"http": `
At half of the highest rate, on two cores that the one who posts, the door and the broker
share, a batch of 500 lines waits for the others' turns: half are acknowledged within a
few milliseconds, 99 % within 15 to 27. What would lift it: the one who posts on a machine
of its own; smaller batches.`,
	"instances": `
Four instances on two cores have smaller batches, in which fewer versions of an order
meet, and each fetches and heartbeats for itself.`,
	"sqlite-spread": `
SQLite itself, compiled to Go, takes most of the processor time: the bare program, which
does little else, has a third of Streams's. It writes through its log to a file that
is as it should be after a crash, which RocksDB without its own log does not. Of the
memory a half is the garbage that the collector leaves room for (GOMEMLIMIT and GOGC trade
it for processor time). What would lift it: a store in memory with a log of its own.`,
}

const publishNote = `
One goroutine sends, on either side, and it is what limits ours: of the 1.1 microseconds
that it takes for an event, encoding is a quarter, making headers a quarter, checking and
identity a fifth, and the client's own part, which is all that raw franz-go has, a fifth.
What would lift it: several senders, as a service has that publishes from its requests;
and handing records to the client in batches, which it does not offer.`
