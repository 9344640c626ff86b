package producer

import "sync"

// budget bounds the bytes of request bodies, and of the events that are made of
// them, that are in memory at once, over all callers and for each of them. Bytes
// are taken before they are allocated, so an overload is answered instead of
// buffered.
type budget struct {
	max, perCaller int64

	mu      sync.Mutex
	used    int64
	callers map[string]int64 // only those that hold something
}

func newBudget(max, perCaller int64) *budget {
	return &budget{max: max, perCaller: perCaller, callers: map[string]int64{}}
}

// hold is one request's part of the budget.
type hold struct {
	budget *budget
	caller string
	n      int64
	parsed int64 // part of n: for the events that are made of the body
}

func (b *budget) hold(caller string) *hold { return &hold{budget: b, caller: caller} }

// room returns the problem that taking n more bytes would be, or nil. It takes
// nothing: it is for refusing a body whose length is known before the first byte
// is read.
func (h *hold) room(n int64) *problemKind {
	h.budget.mu.Lock()
	defer h.budget.mu.Unlock()
	return h.room1(n)
}

func (h *hold) room1(n int64) *problemKind {
	switch b := h.budget; {
	case b.used+n > b.max:
		return overloaded
	case b.callers[h.caller]+n > b.perCaller:
		return callerBusy
	}
	return nil
}

// take adds n bytes to what the request holds, or returns why it may not.
func (h *hold) take(n int64) *problemKind {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if k := h.room1(n); k != nil {
		return k
	}
	b.used += n
	b.callers[h.caller] += n
	h.n += n
	return nil
}

// takeParsed takes what the events made of n bytes of JSON weigh.
func (h *hold) takeParsed(n int64) *problemKind {
	if k := h.take(parsedCost * n); k != nil {
		return k
	}
	h.parsed += parsedCost * n
	return nil
}

// published gives back what takeParsed took: the events are encoded by now.
func (h *hold) published() {
	h.give(h.parsed)
	h.parsed = 0
}

// release gives everything back. It may be called again.
func (h *hold) release() { h.give(h.n) }

func (h *hold) give(n int64) {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.callers[h.caller] -= n; b.callers[h.caller] <= 0 {
		delete(b.callers, h.caller)
	}
	h.n -= n
}

func (b *budget) bytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
