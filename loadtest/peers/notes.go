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
One goroutine sends, on either side; four are no faster. Ours takes 2.1 microseconds of
processor time for an event, raw franz-go 1.2: encoding, headers, checking, identity and
the callback come on top of what the client itself does. Where broker and publisher share
two cores that is what is missed by, twice: a publisher that is busy encoding fills smaller
batches, for which the brokers take two to three times the processor time of an event
(4.4 to 8.0 microseconds against 2.8 to 3.0, one broker, not compressed; 7.9 to 9.5 against
2.7 to 3.0, three brokers, lz4; on a slower machine than that of these rows). Raw franz-go
has 10,000 records on their way, its default, ours 6,000. Tried: fewer on their way and
their memory used again (kept, a fifth less time), several senders, lingering, headers that
stay in place (no difference). A linger of 10 ms with 12,000 on their way gives a quarter
more on three brokers, and makes every event wait. What would lift it: holding events back
while others are on their way, as TCP does, so that batches fill.`
