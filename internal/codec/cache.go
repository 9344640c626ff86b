package codec

import (
	"maps"
	"sync"
	"sync/atomic"
)

// cacheSize bounds every cache of the package. A service meets a few schemas;
// somebody who puts thousands of them on a topic costs lookups, not memory.
const cacheSize = 1024

// cache is a bounded map that is read without locks: a read is one atomic load
// and one map access, a write copies. What was put last, often the only one in
// use, is found without the map.
type cache[K comparable, V any] struct {
	mu   sync.Mutex // held by writers
	m    atomic.Pointer[map[K]V]
	last atomic.Pointer[entry[K, V]] // also in m
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func (c *cache[K, V]) get(k K) (V, bool) {
	if e := c.last.Load(); e != nil && e.key == k {
		return e.value, true
	}
	m := c.m.Load()
	if m == nil {
		var zero V
		return zero, false
	}
	v, ok := (*m)[k]
	return v, ok
}

// put stores v, and makes room by dropping an arbitrary entry when full.
func (c *cache[K, V]) put(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[K]V{}
	if m := c.m.Load(); m != nil {
		next = maps.Clone(*m)
	}
	if _, ok := next[k]; !ok && len(next) >= cacheSize {
		for old := range next {
			delete(next, old)
			break
		}
	}
	next[k] = v
	c.m.Store(&next)
	c.last.Store(&entry[K, V]{key: k, value: v})
}

// drop removes k.
func (c *cache[K, V]) drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.m.Load()
	if m == nil {
		return
	}
	if _, ok := (*m)[k]; !ok {
		return
	}
	c.last.Store(nil)
	next := maps.Clone(*m)
	delete(next, k)
	c.m.Store(&next)
}
