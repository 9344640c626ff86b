package consume

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/offsets"
)

// State says what a partition is doing. A paused one goes on by itself; a
// stopped one waits for an operator.
type State string

// The states of a partition.
const (
	Active          State = "active"
	PausedStore     State = "paused_store"      // the database is away
	PausedRegistry  State = "paused_registry"   // the registry is away
	PausedSchema    State = "paused_schema"     // a burst of unknown schemas
	PausedBreaker   State = "paused_breaker"    // a burst of records set aside
	PausedDLT       State = "paused_deadletter" // the dead letter is not acknowledged
	PausedAccess    State = "paused_access"     // the brokers do not let this member read it
	StoppedBelowLog State = "stopped_below_log" // the position is older than what the log still holds
	StoppedPastEnd  State = "stopped_past_end"  // the position is beyond the log's end: it was truncated or is another log
	StoppedRecreate State = "stopped_topic_recreated"
	StoppedDataLoss State = "stopped_log_truncated"
	StoppedTooLarge State = "stopped_batch_too_large" // a batch decompresses to more than may be held
)

// States returns all of them.
func States() []string {
	var all []string
	for _, s := range []State{
		Active, PausedStore, PausedRegistry, PausedSchema, PausedBreaker, PausedDLT, PausedAccess,
		StoppedBelowLog, StoppedPastEnd, StoppedRecreate, StoppedDataLoss, StoppedTooLarge,
	} {
		all = append(all, string(s))
	}
	return all
}

// Stopped reports whether only an operator can set the partition going again.
func (s State) Stopped() bool {
	switch s {
	case StoppedBelowLog, StoppedPastEnd, StoppedRecreate, StoppedDataLoss, StoppedTooLarge:
		return true
	default:
		return false
	}
}

// partition is what this member knows about a partition that it owns. The
// engine's mutex guards it; while busy, its applier alone changes position and
// breaker.
type partition struct {
	id      offsets.Partition
	handler *Handler
	pos     offsets.Position // as the store has it
	end     int64            // last stable offset, as last fetched or asked for
	behind  time.Time        // since when the record at pos is known to be there and has not been applied; zero when none is

	queue       []*chunk
	queuedBytes int
	fetchPaused bool
	busy        bool  // an applier works on it
	gone        bool  // revoked or lost: drop what is left
	seek        bool  // fetch again from pos; until then what arrives is dropped
	since       int   // the poll that was under way when it was assigned
	whole       int64 // the records up to this offset are kept until they are applied
	epoch       int   // grows when what an applier holds of it is not its to apply any more
	start       int64 // where the log began when it was assigned
	state       State
	why         string         // what caused the state, for operators
	fetchError  string         // the last one that was told
	doubt       error          // why it is not known whether pos is in the log; nil when it is
	doubts      int            // in a row
	askAt       time.Time      // of one in doubt: when its log is asked for
	unplaced    bool           // it is not known where it begins
	retryAt     time.Time      // of a paused state
	attempts    int            // of the pause: backoff
	stalls      int            // of its decoder, in a row
	round       *round         // its dead letters that nobody waits for; nil when there are none
	slow        bool           // its last dead letters were not acknowledged at once
	aside       map[int64]bool // offsets behind pos whose dead letters are acknowledged
	breaker     breaker
	applied     prometheus.Counter // of its events; gone with it
}

// chunk is what one poll brought for one partition.
type chunk struct {
	records []*kgo.Record // nil once all are decoded and not needed any more
	events  []Event       // decoded so far, same index as records
	sent    time.Time     // when the first one was
	decoded int           // events[:decoded] are valid
	taken   int           // events[:taken] are with an applier or done
	bytes   int
	busy    bool // a decoder works on it
	decoder decoder
	round   int // grows when what is decoded has to be decoded again
	stalled error
	// firstTry is when the record at decoded was first found to have an unknown
	// schema; the registry may only be late.
	firstTry time.Time
}

// reaches notes that the log goes as far as this at least.
func (p *partition) reaches(end int64) { p.ends(max(p.end, end)) }

// ends notes how far the log goes, which may be less than before: it was cut.
func (p *partition) ends(end int64) {
	switch p.end = end; {
	case end <= p.pos.Next:
		p.behind = time.Time{}
	case p.behind.IsZero():
		p.behind = time.Now()
	}
}

// moved notes that the position has changed: another record is the oldest one.
func (p *partition) moved() {
	p.behind = time.Time{}
	p.reaches(p.pos.Next)
}

// age is how long ago the oldest record was sent that is not applied: by its
// timestamp where it was fetched, else as long as it is known to be there, which
// is less. It is 0 where there is none.
func (p *partition) age(now time.Time) time.Duration {
	switch {
	case len(p.queue) > 0:
		return max(0, now.Sub(p.queue[0].sent))
	case p.behind.IsZero():
		return 0
	default:
		return now.Sub(p.behind)
	}
}

// flows reports whether what is queued will soon be gone: nothing holds it up.
func (p *partition) flows() bool {
	return p.state == Active && p.stalls == 0 && p.round == nil && p.doubt == nil
}

// ready returns how many decoded events wait at the head of the queue.
func (p *partition) ready() int {
	n := 0
	for _, c := range p.queue {
		n += c.decoded - c.taken
		if c.decoded < len(c.events) {
			break
		}
	}
	return n
}

// take removes up to max decoded events, at most maxBytes of them (but at least
// one), from the head of the queue.
func (p *partition) take(max, maxBytes int) []*Event {
	var out []*Event
	bytes := 0
	for _, c := range p.queue {
		for c.taken < c.decoded && len(out) < max && (bytes == 0 || bytes+c.events[c.taken].size <= maxBytes) {
			e := &c.events[c.taken]
			c.taken++
			bytes += e.size
			out = append(out, e)
		}
		if c.taken < len(c.events) {
			break
		}
	}
	return out
}

// drop forgets the chunks whose events are all done.
func (p *partition) drop(spare *spare) {
	for len(p.queue) > 0 && p.queue[0].taken == len(p.queue[0].events) {
		p.queuedBytes -= p.queue[0].bytes
		spare.put(p.queue[0].events)
		p.queue[0] = nil
		p.queue = p.queue[1:]
	}
}

// untake gives back the events from offset on: they have to be applied later.
// With again set they are also decoded again, since the reason that they failed
// may be gone.
func (p *partition) untake(offset int64, again bool) {
	for _, c := range p.queue {
		for c.taken > 0 && c.events[c.taken-1].From.Offset >= offset {
			c.taken--
		}
		if again && c.records != nil {
			c.decoded = min(c.decoded, c.taken)
			c.round++
			c.firstTry = time.Time{}
		}
	}
}

// clear forgets everything that is queued, and what an applier holds.
func (p *partition) clear() {
	p.queue, p.queuedBytes, p.aside = nil, 0, nil
	p.epoch++
}
