package cdnow

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed" // for the data set
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

//go:embed purchases.txt.gz
var packed []byte

// Totals of the data set, and with them of the events.
const (
	TotalPurchases = 69_659
	TotalCustomers = 23_570
	TotalUnits     = 167_881
	TotalCents     = 250_031_563
	TotalEvents    = 452_637
)

// firstDay is the day that the data set begins.
var firstDay = time.Date(1997, 1, 1, 0, 0, 0, 0, time.UTC)

// Purchase is one line of the data set.
type Purchase struct {
	Line     int   // from 1; identifies the purchase, since lines repeat
	Customer int   // from 1
	Day      int   // from 0, which is 1997-01-01
	Units    int32 // CDs, at least 1
	Cents    int64 // US cents paid, at least 0
}

// Date returns the purchase's day, at midnight UTC.
func (p Purchase) Date() time.Time { return firstDay.AddDate(0, 0, p.Day) }

// unitPrice returns what one CD cost, rounded half up to a cent.
func (p Purchase) unitPrice() int64 { return (2*p.Cents + int64(p.Units)) / (2 * int64(p.Units)) }

// Purchases returns the data set in its own order: by customer, then day.
func Purchases() iter.Seq[Purchase] {
	return func(yield func(Purchase) bool) {
		if err := unpack(bytes.NewReader(packed), yield); err != nil {
			// The data is compiled in and every line of it is read by the tests.
			panic(fmt.Sprintf("CDNOW data set: %v", err))
		}
	}
}

// WriteCSV writes the data set as it was published: customer, date, cds and
// cents, with a header.
func WriteCSV(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "customer,date,cds,cents")
	for p := range Purchases() {
		fmt.Fprintf(b, "%05d,%s,%d,%d\n", p.Customer, p.Date().Format(time.DateOnly), p.Units, p.Cents)
	}
	return b.Flush()
}

// unpack reads the form that README.md describes.
func unpack(r io.Reader, yield func(Purchase) bool) error {
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	var p Purchase
	for lines := bufio.NewScanner(z); ; {
		if !lines.Scan() {
			return lines.Err()
		}
		p.Line++
		text, isNew := strings.CutPrefix(lines.Text(), "*")
		if isNew {
			p.Customer++
			p.Day = 0
		}
		days, rest, _ := strings.Cut(text, ",")
		units, cents, _ := strings.Cut(rest, ",")
		distance, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("line %d: days: %w", p.Line, err)
		}
		u, err := strconv.ParseUint(units, 10, 16)
		if err != nil || u == 0 {
			return fmt.Errorf("line %d: units %q: want a positive number", p.Line, units)
		}
		c, err := strconv.ParseUint(cents, 10, 32)
		if err != nil {
			return fmt.Errorf("line %d: cents: %w", p.Line, err)
		}
		p.Day += int(distance)
		p.Units, p.Cents = int32(u), int64(c)
		if !yield(p) {
			return nil
		}
	}
}
