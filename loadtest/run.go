package loadtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// unknownKept bounds the events of unknown outcome that a run can bear.
const unknownKept = 1_000_000

// run is a run while it lasts.
type run struct {
	target *Target
	plan   Plan
	load   Load // with the warm-up
	id     string
	start  time.Time
	warm   int64 // microseconds

	tails    map[partitionOf]*tail
	keys     [streams][]sums
	acked    *latency
	applied  *latency
	observer *observer
	gen      *generator

	sent         atomic.Int64
	answered     atomic.Int64
	sentMeasured atomic.Int64
	lastAck      atomic.Int64 // microseconds after the start
	rejected     atomic.Int64
	unknown      atomic.Int64

	mu      sync.Mutex // guards what follows
	reasons map[string]int64
	marks   []Mark

	result *Result
}

// Run sends the plan's load and returns what it found. An error means that
// nothing was found: what is wrong with the system is in the result.
func (t *Target) Run(ctx context.Context, plan Plan) (*Result, error) {
	plan.setDefaults(t.cfg.Door != "")
	if err := plan.validate(); err != nil {
		return nil, err
	}
	ends, err := t.awaitService(ctx)
	if err != nil {
		return nil, err
	}
	aside, err := t.reader.setAside(ctx)
	if err != nil {
		return nil, err
	}
	r := &run{
		target: t, plan: plan, load: plan.whole(), warm: plan.WarmUp.Microseconds(),
		id: strings.ToLower(rand.Text()[:8]), acked: newLatency(), applied: newLatency(), reasons: map[string]int64{},
	}
	if err := r.send(ctx, ends); err != nil {
		return nil, err
	}
	return r.result, r.judge(ctx, aside)
}

// makeTails begins the books at the ends of the logs.
func (r *run) makeTails(ends map[partitionOf]int64) map[uint32]bool {
	sample := map[uint32]bool{}
	for i := range min(16, r.plan.Traffic.Keys) {
		sample[uint32(i)] = true
	}
	for s := range r.keys {
		r.keys[s] = make([]sums, r.plan.Traffic.Keys)
	}
	r.tails = map[partitionOf]*tail{}
	for p, end := range ends {
		r.tails[p] = &tail{
			stream: p.stream, partition: p.partition, start: r.start.UnixMicro(), keys: r.keys[p.stream],
			applied: r.applied, warm: r.warm, sample: sample, sampled: map[uint32]uint32{},
			base: end, folded: end, seen: end,
		}
	}
	return sample
}

func (r *run) openDoor(ctx context.Context) (door, error) {
	m := &maker{run: r.id, start: r.start, names: r.target.names, numbers: make([]string, r.plan.Traffic.Keys)}
	for i := range m.numbers {
		m.numbers[i] = fmt.Sprintf("%s-%d", r.id, i)
	}
	cfg := &r.target.cfg
	if cfg.Door != "" {
		return openHTTPDoor(m, cfg.Door, r.plan.Workers)
	}
	return openKafkaDoor(ctx, m, cfg.Kafka, cfg.Registry, r.target.set, cfg.Log)
}

// send is the run from the first event to the last one applied.
func (r *run) send(ctx context.Context, ends map[partitionOf]int64) error {
	r.start = time.Now()
	door, err := r.openDoor(ctx)
	if err != nil {
		return fmt.Errorf("open the door: %w", err)
	}
	r.gen = &generator{
		load: r.load, door: door, warm: r.plan.WarmUp, lateness: newLatency(),
		answered: r.answer, sending: r.sending,
	}
	padding := newPadding(r.plan.Traffic.Seed)
	for i := range r.plan.Workers {
		r.gen.workers = append(r.gen.workers, newChooser(r.plan.Traffic, i, r.plan.Workers, padding))
	}
	runtime.GC() // what was made until here is not to be collected in the first seconds
	r.begin(door)
	sample := r.makeTails(ends)
	r.observer = &observer{reader: r.target.reader, tails: r.tails, start: r.start, every: r.plan.Observe, gaps: newLatency()}
	var sampled []uint32
	for number := range sample {
		sampled = append(sampled, number)
	}
	r.target.reader.follow(r.id, r.target.names, sampled)

	watching, stopWatching := context.WithCancel(ctx)
	sending, stopSending := context.WithCancel(ctx)
	defer stopSending()
	var watchers sync.WaitGroup
	series := newSeries(r)
	watchers.Go(func() { r.observer.run(watching) })
	watchers.Go(func() { series.run(watching, stopSending) })
	watchers.Go(func() { r.act(sending) })
	err = r.drive(ctx, sending, door)
	stopSending()
	stopWatching()
	watchers.Wait()
	if err != nil {
		return err
	}
	series.finish()
	r.result = r.summary(series)
	return nil
}

// begin sets the start: everything is ready.
func (r *run) begin(d door) {
	r.start = time.Now()
	r.gen.start = r.start
	switch d := d.(type) {
	case *kafkaDoor:
		d.start = r.start
	case *httpDoor:
		d.start = r.start
	}
}

// closing bounds the wait for the last answers.
const closing = 45 * time.Second

// drive sends and then waits until everything is answered and applied.
func (r *run) drive(ctx, sending context.Context, d door) error {
	r.gen.run(sending)
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	if ctx.Err() != nil {
		cancel() // the user wants to go
	}
	if err := d.close(flush); err != nil {
		r.note("unanswered")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if n := r.unknown.Load(); n > unknownKept {
		return fmt.Errorf("%d events of unknown outcome: too many to look for", n)
	}
	return r.awaitApplied(ctx)
}

// awaitApplied waits until the service is at the ends of the logs, for as long as
// the plan allows.
func (r *run) awaitApplied(ctx context.Context) error {
	ends, err := r.target.ends(ctx)
	if err != nil {
		return err
	}
	drain, cancel := context.WithTimeout(ctx, r.plan.Drain)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if r.applies(ends) {
			return nil
		}
		select {
		case <-tick.C:
		case <-drain.Done():
			return context.Cause(ctx) // nil: it is the service that takes too long
		}
	}
}

// applies says whether every partition was seen at the end of its log.
func (r *run) applies(ends map[partitionOf]int64) bool {
	for p, end := range ends {
		t := r.tails[p]
		if t == nil {
			continue
		}
		t.mu.Lock()
		seen := t.seen
		t.mu.Unlock()
		if seen < end {
			return false
		}
	}
	return true
}

func (r *run) sending(events []outgoing) {
	r.sent.Add(int64(len(events)))
	measured := int64(0)
	for i := range events {
		if events[i].due >= r.warm {
			measured++
		}
	}
	r.sentMeasured.Add(measured)
}

// answer takes what became of an event.
func (r *run) answer(e event, a answer) {
	now := time.Since(r.start).Microseconds()
	switch a.outcome {
	case acknowledged:
		t := r.tails[partitionOf{e.stream, a.partition}]
		if t == nil {
			r.note("partition_added") // and what is in it is not in the books
			break
		}
		r.acked.record(now-e.due, e.due >= r.warm)
		r.lastAck.Store(now)
		t.acknowledge(e, a.offset, now)
	case rejected:
		r.rejected.Add(1)
		r.note(a.why)
	case unknown:
		r.unknown.Add(1)
		r.note("unknown_" + a.why)
	}
	r.answered.Add(1)
}

// note counts why an event was not acknowledged.
func (r *run) note(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reasons[why]++
}

// judge compares what the store holds with what is in the log.
func (r *run) judge(ctx context.Context, aside int64) error {
	c := &r.result.Correct
	err := r.settle(ctx)
	for _, t := range r.tails {
		t.finish()
	}
	if err == nil {
		err = c.compareAll(ctx, r.target.reader, &r.keys)
	}
	if err != nil && !errors.Is(err, errBehind) {
		return err
	}
	for _, t := range sorted(r.tails) {
		c.Disordered += t.disorder
		c.Lost += t.lost
		c.Between.add(t.verdicts)
	}
	after, err := r.target.reader.setAside(ctx)
	if err != nil {
		return err
	}
	c.SetAside = after - aside
	r.result.Versions = r.target.versionsNow(ctx)
	r.result.conclude(&r.plan)
	return nil
}
