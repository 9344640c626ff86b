package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Client is franz-go's client, under a name for those who only pass it on.
type Client = kgo.Client

// Record is a record as it lies in the log.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp time.Time // when it was sent, unless the topic says otherwise
	Key       []byte
	Value     []byte // nil is a tombstone
	Headers   []kgo.RecordHeader
}

// Header returns the value of the last header of that name, nil when there is
// none.
func (r *Record) Header(name string) []byte {
	for _, h := range slices.Backward(r.Headers) {
		if h.Key == name {
			return h.Value
		}
	}
	return nil
}

// From says where in each partition reading starts. The zero value is the log's
// beginning.
type From struct {
	kind fromKind
	n    int64
}

type fromKind int

const (
	fromBeginning fromKind = iota
	fromEnd
	fromOffset
	fromLast
)

// ParseFrom reads kcat's form of an offset: "beginning", "end", a number, or
// -N for the last N of each partition.
func ParseFrom(text string) (From, error) {
	switch text {
	case "beginning":
		return From{kind: fromBeginning}, nil
	case "end":
		return From{kind: fromEnd}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return From{}, fmt.Errorf("offset %q: want beginning, end, a number, or -N for the last N", text)
	case n < 0:
		return From{kind: fromLast, n: -n}, nil
	}
	return From{kind: fromOffset, n: n}, nil
}

// IsEnd reports whether only what comes later is read.
func (f From) IsEnd() bool { return f.kind == fromEnd }

// in returns where to start in a partition, within what its log holds.
func (f From) in(p PartitionInfo) int64 {
	at := p.Start
	switch f.kind {
	case fromBeginning:
	case fromEnd:
		at = p.StableEnd
	case fromOffset:
		at = f.n
	case fromLast:
		at = p.StableEnd - f.n
	}
	return max(p.Start, min(at, p.StableEnd))
}

// ReadConfig says what Read reads.
type ReadConfig struct {
	Topic      string
	Partitions []int32 // empty: all
	From       From
	Follow     bool // wait for more at the end; else stop at what was the end when it began

	// Idle is how long nothing may come before the leaders are asked whether
	// they are there, and then again before the rest of a log counts as empty:
	// the last offsets of a compacted log may hold no record at all. Default 3s.
	Idle time.Duration
}

// Read calls each for every record of finished transactions, in order within a
// partition, until each says that it wants no more. It commits nothing and
// belongs to no group. Following ends without an error when ctx does.
func Read(ctx context.Context, cfg Config, rc ReadConfig, each func(*Record) (more bool, err error)) error {
	or(&rc.Idle, 3*time.Second)
	r, err := newReader(ctx, cfg, rc)
	if err != nil {
		return err
	}
	if err := r.run(ctx, each); err != nil {
		return fmt.Errorf("read %s: %w", rc.Topic, err)
	}
	return nil
}

// reader is one Read under way.
type reader struct {
	cfg   Config
	rc    ReadConfig
	start map[int32]kgo.Offset
	ends  map[int32]int64 // of the partitions that are not read to their end; when not following
}

func newReader(ctx context.Context, cfg Config, rc ReadConfig) (*reader, error) {
	admin, err := NewClient(cfg)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	infos, err := DescribeTopics(ctx, admin, rc.Topic)
	if err != nil {
		return nil, err
	}
	r := &reader{cfg: cfg, rc: rc, start: map[int32]kgo.Offset{}, ends: map[int32]int64{}}
	for _, id := range rc.Partitions {
		if !slices.ContainsFunc(infos[0].Partitions, func(p PartitionInfo) bool { return p.ID == id }) {
			return nil, fmt.Errorf("read %s: no partition %d: it has %d", rc.Topic, id, len(infos[0].Partitions))
		}
	}
	for _, p := range infos[0].Partitions {
		if len(rc.Partitions) > 0 && !slices.Contains(rc.Partitions, p.ID) {
			continue
		}
		at := rc.From.in(p)
		if !rc.Follow {
			if at >= p.StableEnd {
				continue
			}
			r.ends[p.ID] = p.StableEnd
		}
		r.start[p.ID] = kgo.NewOffset().At(at)
	}
	return r, nil
}

func (r *reader) run(ctx context.Context, each func(*Record) (bool, error)) error {
	if len(r.start) == 0 {
		return nil
	}
	client, err := NewClient(r.cfg,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.rc.Topic: r.start}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), // outside of the log is an error, not a jump
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // their offsets count on the way to the end
		kgo.FetchMaxWait(time.Second),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	quiet := silence{reader: r, client: client}
	for r.rc.Follow || len(r.ends) > 0 {
		fetches, idle := r.poll(ctx, client)
		switch {
		case ctx.Err() != nil && r.rc.Follow:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case idle:
			if over, err := quiet.over(ctx); over || err != nil {
				return err
			}
			continue
		}
		if err := fetchError(fetches); err != nil {
			return err
		}
		quiet.broken()
		if more, err := r.deliver(fetches, client, each); err != nil || !more {
			return err
		}
	}
	return nil
}

func (r *reader) poll(ctx context.Context, client *kgo.Client) (fetches kgo.Fetches, idle bool) {
	if r.rc.Follow {
		return client.PollFetches(ctx), false
	}
	waiting, cancel := context.WithTimeout(ctx, r.rc.Idle)
	defer cancel()
	fetches = client.PollFetches(waiting)
	return fetches, fetches.NumRecords() == 0 && waiting.Err() != nil
}

func (r *reader) deliver(fetches kgo.Fetches, client *kgo.Client, each func(*Record) (bool, error)) (more bool, err error) {
	for it := fetches.RecordIter(); !it.Done(); {
		rec := it.Next()
		end, reading := r.ends[rec.Partition]
		if !r.rc.Follow && !reading {
			continue // fetched beyond the end
		}
		if !rec.Attrs.IsControl() && (r.rc.Follow || rec.Offset < end) && (r.rc.From.kind != fromOffset || rec.Offset >= r.rc.From.n) {
			more, err := each(&Record{
				Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Timestamp: rec.Timestamp,
				Key: rec.Key, Value: rec.Value, Headers: rec.Headers,
			})
			if err != nil || !more {
				return false, err
			}
		}
		if reading && rec.Offset+1 >= end {
			delete(r.ends, rec.Partition)
			client.PauseFetchPartitions(map[string][]int32{r.rc.Topic: {rec.Partition}})
		}
	}
	return true, nil
}

// fetchError returns the first error of a poll that is not the end of the
// waiting itself.
func fetchError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
			return fmt.Errorf("partition %d: %w", e.Partition, e.Err)
		}
	}
	return nil
}
