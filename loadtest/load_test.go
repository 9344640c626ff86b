package loadtest

import (
	"math"
	"testing"
	"time"
)

func TestLoadKeepsItsRates(t *testing.T) {
	tests := []struct {
		text  string
		total int64
		// how many events are due before a time
		before map[time.Duration]int64
	}{
		{"100:10s", 1000, map[time.Duration]int64{time.Second: 100, 5 * time.Second: 500}},
		{"100:10s,1000:1s,100:10s", 3000, map[time.Duration]int64{10 * time.Second: 1000, 11 * time.Second: 2000, 12 * time.Second: 2100}},
		{"0-1000:10s", 5000, map[time.Duration]int64{5 * time.Second: 1250}},
		{"1000-0:10s", 5000, map[time.Duration]int64{5 * time.Second: 3750}},
		{"0:5s,10:1s", 10, map[time.Duration]int64{5 * time.Second: 0}},
		{"100000:1ms,0:1s,100000:1ms", 200, map[time.Duration]int64{time.Second: 100}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			l, err := ParseLoad(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := l.Total(); got != tt.total {
				t.Errorf("total: got %d, want %d", got, tt.total)
			}
			again, err := ParseLoad(l.String())
			if err != nil || again.String() != l.String() {
				t.Errorf("read again: got %v, %v, want %v", again, err, l)
			}
			table := timetable{load: l}
			var last time.Duration
			got := map[time.Duration]int64{}
			for n := range l.Total() {
				due := table.due(n)
				if due < last || due > l.Length() {
					t.Fatalf("event %d: due at %s, after one at %s, of a load of %s", n, due, last, l.Length())
				}
				last = due
				for at := range tt.before {
					if due < at-time.Microsecond {
						got[at]++
					}
				}
			}
			for at, want := range tt.before {
				if diff := math.Abs(float64(got[at] - want)); diff > 1 {
					t.Errorf("due before %s: got %d, want %d", at, got[at], want)
				}
			}
		})
	}
}

func TestBadLoadIsRefused(t *testing.T) {
	for _, text := range []string{"", "100", "100:", "100:5", "-5:1s", "a-b:1s", "1e9:1s", "0:10s", "100:-1s", "NaN:1s"} {
		if l, err := ParseLoad(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, l)
		}
	}
}
