package publish_test

import (
	"syscall"
	"testing"
)

func cpu(b *testing.B) func() {
	var s syscall.Rusage
	syscall.Getrusage(0, &s)
	return func() {
		var e syscall.Rusage
		syscall.Getrusage(0, &e)
		d := e.Utime.Nano() + e.Stime.Nano() - s.Utime.Nano() - s.Stime.Nano()
		b.ReportMetric(float64(d)/float64(b.N), "cpu-ns/op")
	}
}
