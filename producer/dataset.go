package producer

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"firehose/internal/publish"
	"firehose/producer/cdnow"
	"firehose/schemas"
)

// Dataset is a recorded data set that can be replayed.
type Dataset struct {
	Name string
	// Events yields the events in order, with their indexes from 0. Every run
	// yields the same ones, with the same IDs.
	Events func() iter.Seq2[int64, *publish.Event]
	Total  int64 // how many events there are
}

// CDNOW returns the purchases of the CDNOW music shop; see package cdnow.
func CDNOW() Dataset {
	return Dataset{Name: "cdnow", Events: cdnow.Events, Total: cdnow.TotalEvents}
}

// firstOfCDNOW returns the first purchases only, all events of each.
func firstOfCDNOW(purchases int) Dataset {
	d := Dataset{Name: fmt.Sprintf("cdnow:%d", purchases)}
	d.Events = func() iter.Seq2[int64, *publish.Event] {
		return func(yield func(int64, *publish.Event) bool) {
			shipped := 0
			for i, e := range cdnow.Events() {
				if !yield(i, e) {
					return
				}
				if e.Type == schemas.OrderShipped { // a purchase's last event
					if shipped++; shipped == purchases {
						return
					}
				}
			}
		}
	}
	for i := range d.Events() {
		d.Total = i + 1
	}
	return d
}

// DatasetNamed returns the data set of that name: "cdnow", or "cdnow:N" for its
// first N purchases.
func DatasetNamed(name string) (Dataset, error) {
	base, limit, limited := strings.Cut(name, ":")
	if base != CDNOW().Name {
		return Dataset{}, fmt.Errorf("data set %q: there is only cdnow", name)
	}
	if !limited {
		return CDNOW(), nil
	}
	n, err := strconv.Atoi(limit)
	if err != nil || n < 1 || n > cdnow.TotalPurchases {
		return Dataset{}, fmt.Errorf("data set %q: want 1 to %d purchases", name, cdnow.TotalPurchases)
	}
	return firstOfCDNOW(n), nil
}
